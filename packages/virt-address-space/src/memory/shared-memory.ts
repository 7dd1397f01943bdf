/** Memory in a SharedArrayBuffer, which any thread of this process (or page) can have. @module */
import { requireLength } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { MemoryDescriptor, MemoryOpener } from "./memory-descriptor.ts";
import { allocated, MemoryProvider, NO_BYTES } from "./memory-provider.ts";

const KIND = "shared-array-buffer";

/** Memory in a SharedArrayBuffer. */
export class SharedMemory extends MemoryProvider {
  readonly kind: typeof KIND = KIND;
  readonly #buffer: SharedArrayBuffer;
  #bytes: Uint8Array;

  /** @param buffer - all of it becomes guest memory */
  constructor(buffer: SharedArrayBuffer) {
    super(buffer.byteLength);
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
  }

  override bytes(): Uint8Array {
    return this.#bytes;
  }

  override share(): MemoryDescriptor {
    return { kind: KIND, size: this.size, payload: this.#buffer };
  }

  protected override free(): void {
    this.#bytes = NO_BYTES;
  }
}

/** Throws `unsupported` where the host has no SharedArrayBuffer (a page without cross-origin isolation). */
export function requireSharedArrayBuffer(need: string): void {
  if (typeof SharedArrayBuffer === "function") return;
  throw new VirtAddressSpaceError(
    "unsupported",
    `${need} needs SharedArrayBuffer: serve the page with COOP and COEP headers (cross-origin isolated), or stay in one thread`,
  );
}

/**
 * Makes zeroed memory that other threads can attach.
 *
 * @param size - bytes
 * @throws {@link VirtAddressSpaceError} `invalid-length`; `unsupported` where the host has no SharedArrayBuffer
 */
export function sharedMemory(size: number): SharedMemory {
  requireLength(size, 1, "the size of the memory");
  requireSharedArrayBuffer("shared memory");
  return new SharedMemory(allocated(size, () => new SharedArrayBuffer(size)));
}

/** Opens the memory that {@link SharedMemory.share} described; every attach has it. */
export const sharedMemoryOpener: MemoryOpener = {
  kind: KIND,
  open(descriptor) {
    if (typeof SharedArrayBuffer === "function" && descriptor.payload instanceof SharedArrayBuffer) {
      if (descriptor.payload.byteLength === descriptor.size) return new SharedMemory(descriptor.payload);
    }
    throw new VirtAddressSpaceError("foreign-descriptor", "a shared memory's descriptor holds no buffer of its size");
  },
};
