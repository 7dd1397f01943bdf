/** The interrupt lines of a machine: several devices may share one. @module */
import type { InterruptLine } from "@virtspace/hypervisor";
import type { Notifier } from "@virtspace/virt-address-space";

/** The end of a wire, at the interrupt controller. */
export class Wire {
  readonly #set: (up: boolean) => void;
  #holders = 0;

  constructor(set: (up: boolean) => void) {
    this.#set = set;
  }

  hold(): void {
    if (this.#holders++ === 0) this.#set(true);
  }

  letGo(): void {
    if (--this.#holders === 0) this.#set(false);
  }

  /** An edge, for a wire that nobody holds up: one that is up has none. */
  pulse(): void {
    if (this.#holders > 0) return;
    this.#set(true);
    this.#set(false);
  }
}

/** A device's handle of a wire. */
export class V86Line implements InterruptLine {
  readonly irq: number;
  readonly #wire: Wire;
  readonly #followed = new Set<Disposable>();
  #up = false;

  constructor(irq: number, wire: Wire) {
    this.irq = irq;
    this.#wire = wire;
  }

  setLevel(up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    if (up) this.#wire.hold();
    else this.#wire.letGo();
  }

  pulse(): void {
    this.#wire.pulse();
  }

  follow(notifier: Notifier): Disposable {
    const subscription = notifier.subscribe(() => this.pulse());
    this.#followed.add(subscription);
    return {
      [Symbol.dispose]: () => {
        subscription[Symbol.dispose]();
        this.#followed.delete(subscription);
      },
    };
  }

  /** Lets the line down, and follows nobody any more. Idempotent. */
  [Symbol.dispose](): void {
    this.setLevel(false);
    for (const subscription of this.#followed) subscription[Symbol.dispose]();
    this.#followed.clear();
  }
}
