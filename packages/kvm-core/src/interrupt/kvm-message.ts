/** A device's end of an interrupt that is a message. @see KVM_SIGNAL_MSI, Documentation/virt/kvm/api.rst @module */
import type { MessageInterrupt } from "@virtspace/hypervisor";
import { DisposableStack, type Notifier } from "@virtspace/virt-address-space";
import type { Wires } from "./wires.ts";

/** A message. It has a number of the kernel's from when a notifier is to send it. */
export class KvmMessage implements MessageInterrupt {
  readonly #address: number;
  readonly #data: number;
  readonly #wires: Wires;
  readonly #stack = new DisposableStack();
  #gsi: number | undefined;

  constructor(address: number, data: number, wires: Wires) {
    this.#address = address;
    this.#data = data;
    this.#wires = wires;
  }

  send(): void {
    this.#wires.send(this.#address, this.#data);
  }

  follow(notifier: Notifier): Disposable {
    this.#gsi ??= this.#stack.use(this.#wires.route(this.#address, this.#data)).gsi;
    return this.#stack.use(this.#wires.follow(this.#gsi, notifier, () => this.send()));
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
