/**
 * Memory inside a buffer that somebody else owns and may replace: an emulator's WebAssembly memory (detached at each
 * `memory.grow`), a resizable ArrayBuffer.
 *
 * @module
 */
import { requireLength } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { MemoryProvider, NO_BYTES } from "./memory-provider.ts";

/** What an engine tells of the memory it owns. */
export interface EngineMemoryOptions {
  /** Bytes of guest memory in the buffer. */
  readonly size: number;
  /** Where it begins in the buffer, bytes. */
  readonly offset?: number;
  /** The buffer as it is now. Called again whenever the one at hand was detached, or after {@link EngineMemory.replaced}. */
  readonly buffer: () => ArrayBufferLike;
  /** Told of every write from the host's side: a range of guest memory whose cached translation is stale. */
  readonly hostWrote?: (offset: number, length: number) => void;
  /** Called when the last reference goes; the engine's buffer itself stays the engine's. */
  readonly released?: () => void;
}

/** Memory in a buffer that an engine owns. It stays in the engine's thread. */
export class EngineMemory extends MemoryProvider {
  readonly kind = "engine";
  override readonly observesWrites: boolean;
  override readonly stable = false;
  readonly #options: EngineMemoryOptions;
  #bytes: Uint8Array = NO_BYTES;

  /** @throws {@link VirtAddressSpaceError} `invalid-length`, `out-of-bounds` where the buffer does not hold the memory now */
  constructor(options: EngineMemoryOptions) {
    super(options.size);
    requireLength(options.offset ?? 0, 0, "where the memory begins in the engine's buffer");
    this.#options = options;
    this.observesWrites = options.hostWrote !== undefined;
    if (this.bytes().length === 0) {
      throw new VirtAddressSpaceError(
        "out-of-bounds",
        `the engine's buffer of ${options.buffer().byteLength} bytes does not hold ${options.size} bytes at offset ${options.offset ?? 0}`,
      );
    }
  }

  override bytes(): Uint8Array {
    // A detached or shrunk buffer empties every array over it: that is how a move shows itself.
    if (this.#bytes.length === 0 && !this.released) this.#bind();
    return this.#bytes;
  }

  override hostWrote(offset: number, length: number): void {
    this.#options.hostWrote?.(offset, length);
  }

  /** To be called by an engine that replaced its buffer without detaching the old one; a detached one is noticed unasked. */
  replaced(): void {
    this.#bytes = NO_BYTES;
    this.moved();
  }

  protected override free(): void {
    this.#bytes = NO_BYTES;
    this.#options.released?.();
  }

  #bind(): void {
    const buffer = this.#options.buffer();
    const offset = this.#options.offset ?? 0;
    this.#bytes = offset + this.size <= buffer.byteLength ? new Uint8Array(buffer, offset, this.size) : NO_BYTES;
  }
}
