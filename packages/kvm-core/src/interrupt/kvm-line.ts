/** The interrupt lines of a machine, driven in the kernel. @see KVM_IRQ_LINE, KVM_IRQFD, Documentation/virt/kvm/api.rst @module */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import type { InterruptLine } from "@virtspace/hypervisor";
import type { Notifier } from "@virtspace/virt-address-space";
import { Kvm, Size } from "../kvm/kvm-layout.ts";

const DEASSIGN = 1;

/** The kernel's interrupt controllers: all wires end here. */
export class Wires implements Disposable {
  readonly #vm: DeviceFile;
  readonly #level = new NativeBlock(Size.irqLevel);
  readonly #irqfd = new NativeBlock(Size.irqfd);
  readonly #message = new NativeBlock(Size.msi);
  readonly #holders = new Map<number, number>();
  #open = true;
  /** Edges and messages. */
  interrupts = 0;

  constructor(vm: DeviceFile) {
    this.#vm = vm;
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

  /** Wires an eventfd to a line; dispose what is returned before it is closed. */
  wire(irq: number, fd: number): Disposable {
    this.#wire(irq, fd, 0);
    let wired = true;
    return {
      [Symbol.dispose]: () => {
        if (wired && this.#open) this.#wire(irq, fd, DEASSIGN);
        wired = false;
      },
    };
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

/** A device's handle of a wire. */
export class KvmLine implements InterruptLine {
  readonly irq: number;
  readonly #wires: Wires;
  readonly #followed = new Set<Disposable>();
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
    const shared = notifier.share();
    const [fd] = shared?.kind === "eventfd" ? (shared.fds ?? []) : [];
    const following = fd === undefined ? notifier.subscribe(() => this.pulse()) : this.#wires.wire(this.irq, fd);
    this.#followed.add(following);
    return {
      [Symbol.dispose]: () => {
        following[Symbol.dispose]();
        this.#followed.delete(following);
      },
    };
  }

  [Symbol.dispose](): void {
    this.setLevel(false);
    for (const following of this.#followed) following[Symbol.dispose]();
    this.#followed.clear();
  }
}
