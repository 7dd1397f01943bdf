/**
 * Wires a space's doorbells: a guest's write signals an eventfd in the kernel, and no exit comes of it. A doorbell whose notifier is no
 * eventfd rings all the same, at the end of an exit.
 *
 * @see KVM_IOEVENTFD, Documentation/virt/kvm/api.rst
 * @module
 */
import { type DeviceFile, NativeBlock } from "@virtspace/host-linux";
import type { AddressSpaceListener, Doorbell } from "@virtspace/virt-address-space";
import { Kvm, Size } from "../kvm/kvm-layout.ts";

const DATAMATCH = 1;
const PIO = 2;
const DEASSIGN = 4;

/** The doorbells of one space. */
export class IoEventFds implements Required<Pick<AddressSpaceListener, "doorbellAdded" | "doorbellRemoved">>, Disposable {
  readonly #vm: DeviceFile;
  readonly #kind: number;
  /** The eventfd of each that was wired: its notifier may have been closed when it goes. */
  readonly #wired = new Map<Doorbell, number>();
  readonly #request = new NativeBlock(Size.ioeventfd);

  constructor(vm: DeviceFile, what: "memory" | "ports") {
    this.#vm = vm;
    this.#kind = what === "ports" ? PIO : 0;
  }

  doorbellAdded(doorbell: Doorbell): void {
    const shared = doorbell.notifier.share();
    const [fd] = shared?.kind === "eventfd" ? (shared.fds ?? []) : [];
    if (fd === undefined) return;
    this.#ask(doorbell, fd, 0);
    this.#wired.set(doorbell, fd);
  }

  doorbellRemoved(doorbell: Doorbell): void {
    const fd = this.#wired.get(doorbell);
    if (fd === undefined) return;
    this.#wired.delete(doorbell);
    this.#ask(doorbell, fd, DEASSIGN);
  }

  /** The listener is gone, and with it what was wired. */
  [Symbol.dispose](): void {
    this.#request[Symbol.dispose]();
  }

  #ask({ address, length, datamatch }: Doorbell, fd: number, flags: number): void {
    const { view } = this.#request;
    view.setBigUint64(0, datamatch ?? 0n, true);
    view.setBigUint64(8, BigInt(address), true);
    view.setUint32(16, length, true);
    view.setInt32(20, fd, true);
    view.setUint32(24, flags | this.#kind | (datamatch === undefined ? 0 : DATAMATCH), true);
    this.#vm.control("KVM_IOEVENTFD", Kvm.IOEVENTFD, this.#request);
  }
}
