/** The interrupts of a machine, driven in the kernel. @see KVM_IRQ_LINE, KVM_IRQFD, Documentation/virt/kvm/api.rst @module */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import type { Notifier } from "@virtspace/virt-address-space";
import { Kvm, Size } from "../kvm/kvm-layout.ts";
import type { GsiRoutes } from "./gsi-routes.ts";

const DEASSIGN = 1;

/** The kernel's interrupt controllers: all wires end here. */
export class Wires implements Disposable {
  readonly #vm: DeviceFile;
  readonly #routes: GsiRoutes;
  readonly #level = new NativeBlock(Size.irqLevel);
  readonly #irqfd = new NativeBlock(Size.irqfd);
  readonly #message = new NativeBlock(Size.msi);
  readonly #holders = new Map<number, number>();
  #open = true;
  /** Edges and messages. */
  interrupts = 0;

  constructor(vm: DeviceFile, routes: GsiRoutes) {
    this.#vm = vm;
    this.#routes = routes;
  }

  /** One more device holds the line up, or one less. */
  hold(irq: number, by: 1 | -1): void {
    const before = this.#holders.get(irq) ?? 0;
    this.#holders.set(irq, before + by);
    if (before + by === 0) this.#set(irq, false);
    else if (before === 0) this.#set(irq, true);
  }

  pulse(irq: number): void {
    if ((this.#holders.get(irq) ?? 0) > 0) return;
    this.#set(irq, true);
    this.#set(irq, false);
  }

  send(address: number, data: number): void {
    if (!this.#open) return;
    const { view } = this.#message;
    view.setBigUint64(0, BigInt(address), true);
    view.setUint32(8, data, true);
    this.#vm.control("KVM_SIGNAL_MSI", Kvm.SIGNAL_MSI, this.#message);
    this.interrupts++;
  }

  /** Gives a message a number, until what is returned is disposed. @throws {@link HypervisorError} `unsupported` */
  route(address: number, data: number): Disposable & { readonly gsi: number } {
    const gsi = this.#routes.add(address, data);
    return { gsi, ...once(() => this.#open && this.#routes.remove(gsi)) };
  }

  /**
   * Has a notifier be an edge of a number: in the kernel, where it is an eventfd; by a call here, where it is another. Dispose what is
   * returned before it is closed.
   */
  follow(gsi: number, notifier: Notifier, edge: () => void): Disposable {
    const shared = notifier.share();
    const [fd] = shared?.kind === "eventfd" ? (shared.fds ?? []) : [];
    if (fd === undefined) return notifier.subscribe(edge);
    this.#wire(gsi, fd, 0);
    return once(() => this.#open && this.#wire(gsi, fd, DEASSIGN));
  }

  /** Lines may be let go of later: nothing happens then. */
  [Symbol.dispose](): void {
    this.#open = false;
    for (const block of [this.#level, this.#irqfd, this.#message]) block[Symbol.dispose]();
  }

  #set(irq: number, up: boolean): void {
    if (!this.#open) return;
    this.#level.view.setUint32(0, irq, true);
    this.#level.view.setUint32(4, up ? 1 : 0, true);
    this.#vm.control("KVM_IRQ_LINE", Kvm.IRQ_LINE, this.#level);
    if (up) this.interrupts++;
  }

  #wire(irq: number, fd: number, flags: number): void {
    const { view } = this.#irqfd;
    view.setUint32(0, fd, true);
    view.setUint32(4, irq, true);
    view.setUint32(8, flags, true);
    this.#vm.control("KVM_IRQFD", Kvm.IRQFD, this.#irqfd);
  }
}

/** What is undone once, however often it is disposed. */
function once(undo: () => void): Disposable {
  let done = false;
  return {
    [Symbol.dispose]: () => {
      if (!done) undo();
      done = true;
    },
  };
}
