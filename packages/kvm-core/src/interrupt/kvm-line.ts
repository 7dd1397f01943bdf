/** A device's end of an interrupt line. @module */
import type { InterruptLine } from "@virtspace/hypervisor";
import { DisposableStack, type Notifier } from "@virtspace/virt-address-space";
import type { Wires } from "./wires.ts";

/** A device's handle of a wire. */
export class KvmLine implements InterruptLine {
  readonly irq: number;
  readonly #wires: Wires;
  readonly #followed = new DisposableStack();
  #up = false;

  constructor(irq: number, wires: Wires) {
    this.irq = irq;
    this.#wires = wires;
  }

  setLevel(up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    this.#wires.hold(this.irq, up ? 1 : -1);
  }

  pulse(): void {
    this.#wires.pulse(this.irq);
  }

  follow(notifier: Notifier): Disposable {
    return this.#followed.use(this.#wires.follow(this.irq, notifier, () => this.pulse()));
  }

  [Symbol.dispose](): void {
    this.setLevel(false);
    this.#followed.dispose();
  }
}
