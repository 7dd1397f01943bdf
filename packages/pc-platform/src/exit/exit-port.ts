/** A port at which a guest says that it is done: QEMU's isa-debug-exit. @see QEMU, hw/misc/debugexit.c @module */
import { gpa, type Region, type VirtAddressSpace } from "@virtspace/virt-address-space";

/** Where it is unless given. */
export const EXIT_PORT = 0xf4;
const BYTES = 4;

/** How it is made. */
export interface ExitPortOptions {
  /** The machine's ports. */
  readonly ports: VirtAddressSpace;
  /** Its first port; {@link EXIT_PORT} unless given. */
  readonly base?: number;
  /** Told of each value that the guest writes. QEMU would end with twice that and 1 as its status. */
  readonly onExit: (value: number) => void;
}

/** The port. It reads as 0. */
export class ExitPort implements Disposable {
  readonly #ports: VirtAddressSpace;
  readonly #region: Region;
  #mapped = true;

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor({ ports, base = EXIT_PORT, onExit }: ExitPortOptions) {
    this.#ports = ports;
    const handler = { read: () => 0, write: (_offset: number, _size: number, value: number) => onExit(value) };
    this.#region = ports.map({ kind: "io", name: "exit port", base: gpa(base), size: BYTES, handler });
  }

  /** Unmaps it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#mapped && !this.#ports.released) void this.#ports.unmap(this.#region);
    this.#mapped = false;
  }
}
