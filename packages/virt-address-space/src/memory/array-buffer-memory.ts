/** Memory in an ArrayBuffer of this thread. @module */
import { requireLength } from "../address/addresses.ts";
import { allocated, MemoryProvider, NO_BYTES } from "./memory-provider.ts";

/** Memory in an ArrayBuffer: for tests and for machines that live in one thread. It can't be shared with another. */
export class ArrayBufferMemory extends MemoryProvider {
  readonly kind = "array-buffer";
  #bytes: Uint8Array;

  /** @param buffer - all of it becomes guest memory */
  constructor(buffer: ArrayBuffer) {
    super(buffer.byteLength);
    this.#bytes = new Uint8Array(buffer);
  }

  override bytes(): Uint8Array {
    return this.#bytes;
  }

  protected override free(): void {
    this.#bytes = NO_BYTES;
  }
}

/**
 * Makes zeroed memory of this thread.
 *
 * @param size - bytes
 * @throws {@link VirtAddressSpaceError} `invalid-length`
 */
export function arrayBufferMemory(size: number): ArrayBufferMemory {
  requireLength(size, 1, "the size of the memory");
  return new ArrayBufferMemory(allocated(size, () => new ArrayBuffer(size)));
}
