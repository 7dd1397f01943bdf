/** Guest memory in a memfd: other processes can have it. @module */
import { type MemoryDescriptor, type MemoryOpener, MemoryProvider, VirtAddressSpaceError } from "@virtspace/virt-address-space";
import { Fd } from "../fd/fd.ts";
import { Mapping, type MappingOptions } from "./mapping.ts";
import { Memfd } from "./memfd.ts";

const KIND = "memfd";

/** Memory that is a part of a file. */
export class MemfdMemory extends MemoryProvider {
  readonly kind: typeof KIND = KIND;
  readonly #fd: Fd;
  readonly #mapping: Mapping;
  readonly #offset: number;

  /**
   * Maps a part of a file. The file is this memory's from now on, and closed with it.
   *
   * @throws {@link HostLinuxError} as {@link Mapping} does, `VirtAddressSpaceError` `invalid-length`; the file is closed then
   */
  constructor(fd: Fd, options: MappingOptions) {
    super(sizeOrClosed(fd, options.size));
    this.#fd = fd;
    this.#offset = options.offset ?? 0;
    try {
      this.#mapping = new Mapping(fd, options);
    } catch (error) {
      fd[Symbol.dispose]();
      throw error;
    }
  }

  /** The file. */
  get fd(): Fd {
    return this.#fd;
  }

  /** Where it is mapped in this process. */
  get address(): bigint {
    return this.#mapping.address;
  }

  /** Where the memory begins in its file, bytes. */
  get offset(): number {
    return this.#offset;
  }

  override bytes(): Uint8Array {
    return this.#mapping.bytes;
  }

  override share(): MemoryDescriptor {
    return { kind: KIND, size: this.size, payload: { offset: this.#offset }, fds: [this.#fd.number] };
  }

  protected override free(): void {
    this.#mapping[Symbol.dispose]();
    this.#fd[Symbol.dispose]();
  }
}

/**
 * Makes zeroed memory that other processes can attach.
 *
 * @param size - bytes
 * Throws `VirtAddressSpaceError` `invalid-length`; `HostLinuxError` `system-call`.
 */
export function memfdMemory(size: number): MemfdMemory {
  return new MemfdMemory(Memfd.create(wholeSize(size)), { size });
}

function wholeSize(size: number): number {
  if (Number.isSafeInteger(size) && size > 0) return size;
  throw new VirtAddressSpaceError("invalid-length", `memory of ${size} bytes can't be made: give a whole number from 1`, { value: size });
}

function sizeOrClosed(fd: Fd, size: number): number {
  try {
    return wholeSize(size);
  } catch (error) {
    fd[Symbol.dispose]();
    throw error;
  }
}

/** Opens memory that came from another process or thread. The descriptors in it stay the caller's. */
export const memfdOpener: MemoryOpener = {
  kind: KIND,
  open({ size, payload, fds }) {
    const [number] = fds ?? [];
    const offset = (payload as { offset?: unknown } | undefined)?.offset;
    if (typeof number !== "number" || typeof offset !== "number") throw new TypeError("this memory's descriptor came without its file");
    return new MemfdMemory(Fd.copyOf(number), { size, offset });
  },
};
