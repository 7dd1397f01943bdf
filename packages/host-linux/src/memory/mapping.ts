/**
 * A part of a file as memory of this process. What could kill the process is checked before: a file that somebody shrinks
 * raises SIGBUS at the next access, and memory that was unmapped SIGSEGV.
 *
 * @see mmap(2)
 * @module
 */
import { HostLinuxError } from "../error/host-linux-error.ts";
import type { Fd } from "../fd/fd.ts";
import { bytesAt, map, tryCall } from "../native/libc.ts";
import { Seal, sealsOf, sizeOf } from "./memfd.ts";

/** What is mapped. */
export interface MappingOptions {
  /** Bytes. */
  readonly size: number;
  /** Bytes from the start of the file, a multiple of 4096; 0 unless given. */
  readonly offset?: number;
  /** Whether what this process writes goes to the file; it does unless given. Otherwise a write is seen here alone. */
  readonly writable?: boolean;
  /**
   * Whether a file may be mapped that its other owners can shrink: then they can kill this process. It may not unless given.
   */
  readonly unsealed?: boolean;
}

const PAGE = 4096;

/** Memory that is mapped. Dispose it to unmap it: arrays over it become empty first. */
export class Mapping implements Disposable {
  /** Bytes. */
  readonly size: number;
  readonly #address: bigint;
  #bytes: Uint8Array;

  /**
   * Maps a part of a file; the file may be closed afterwards.
   *
   * @throws {@link HostLinuxError} `invalid-argument`, `unsealed`, `too-small`, `system-call`
   */
  constructor(fd: Fd, { size, offset = 0, writable = true, unsealed = false }: MappingOptions) {
    const whole = Number.isSafeInteger(size) && Number.isSafeInteger(offset) && Number.isSafeInteger(size + offset);
    if (!whole || size < 1 || offset < 0 || offset % PAGE !== 0) {
      throw new HostLinuxError("invalid-argument", `${size} bytes at ${offset} can't be mapped: give bytes, from a multiple of ${PAGE}`);
    }
    if (!unsealed && (sealsOf(fd) & Seal.Shrink) === 0) {
      throw new HostLinuxError(
        "unsealed",
        "this file is not sealed against shrinking, and who shrinks it kills this process: use a memfd with F_SEAL_SHRINK, or say that you trust its owner (unsealed: true)",
      );
    }
    const has = sizeOf(fd);
    if (has < offset + size) {
      throw new HostLinuxError("too-small", `the file has ${has} bytes, not the ${offset + size} that are to be mapped`);
    }
    this.size = size;
    this.#address = map(size, writable, fd.number, offset);
    try {
      this.#bytes = new Uint8Array(bytesAt(this.#address, size));
    } catch (cause) {
      tryCall("munmap", this.#address, size);
      throw new HostLinuxError("invalid-argument", `${size} bytes are more than an array can show: map parts`, {}, { cause });
    }
  }

  /** Where it is in this process: for a kernel module that is told of it, and that must let go before it is unmapped. */
  get address(): bigint {
    return this.#address;
  }

  /** The memory; empty once it was unmapped. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Unmaps it. Idempotent. Another thread that was given these bytes must have let go of them. */
  [Symbol.dispose](): void {
    if (this.#bytes.length === 0) return;
    // First no array of this thread shows the memory any more, then it goes.
    (this.#bytes.buffer as ArrayBuffer).transfer();
    this.#bytes = new Uint8Array(0);
    tryCall("munmap", this.#address, this.size);
  }
}
