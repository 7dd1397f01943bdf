/**
 * A buffer that a driver made available: some bytes for the device to read, then some for it to write, in as many pieces of
 * guest memory as the driver liked. All of it was validated before the device saw it.
 *
 * Chains belong to their queue, which uses them again: hold none after it was pushed.
 *
 * @module
 */

import { type Batch, type ByteViews, copyViews, type FlatRange } from "@virtspace/virt-address-space";
import { VirtioError } from "../error/virtio-error.ts";

const isOffset = (offset: number): boolean => Number.isSafeInteger(offset) && offset >= 0;

const sizeOf = (source: Uint8Array | ByteViews): number => (source instanceof Uint8Array ? source.length : source.bytes.length);

/** What a chain needs of its queue. */
export interface ChainOwner {
  /** Keeps the memory of the chain in place. */
  batch(): Batch;
  push(chain: Chain, written: number): void;
}

/** A buffer, from the moment the device took it until it gives it back. */
export class Chain {
  /** Split: the index of the first descriptor. Packed: the buffer's id. */
  id = 0;
  /** Descriptors in the ring, which a packed queue skips. */
  slots = 0;
  /** Bytes for the device to read. */
  readableBytes = 0;
  /** Bytes for the device to write. */
  writableBytes = 0;
  /** Bytes from the start of the writable part that have been written: what the driver is told. */
  written = 0;
  /** Pieces of memory; those for the device to read come first. */
  pieces = 0;
  /** Pieces for the device to read. */
  readablePieces = 0;
  /** Whether the device has it. */
  taken = false;
  /** Whether it was given back and waits for those before it. @internal */
  done = false;
  /** Whether it was in flight when its queue was stopped, or its process died: what it asks for may have been done. */
  again = false;
  /** When it was taken, as a number that grows. @internal */
  sequence = 0;
  readonly #owner: ChainOwner;
  readonly #ranges: FlatRange[] = [];
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  #batch: Batch | undefined;

  /** @internal */
  constructor(owner: ChainOwner) {
    this.#owner = owner;
  }

  /** Makes it empty. @internal */
  clear(): void {
    this.readableBytes = 0;
    this.writableBytes = 0;
    this.written = 0;
    this.pieces = 0;
    this.readablePieces = 0;
    this.slots = 0;
  }

  /** Adds a piece. @internal */
  add(range: FlatRange, offset: number, length: number, writable: boolean): void {
    const at = this.pieces++;
    // Storing a reference costs more than comparing one, and buffers mostly lie in the same memory.
    if (this.#ranges[at] !== range) this.#ranges[at] = range;
    this.#offsets[at] = offset;
    this.#lengths[at] = length;
    if (writable) {
      this.writableBytes += length;
    } else {
      this.readablePieces++;
      this.readableBytes += length;
    }
  }

  /** The range of guest memory that a piece lies in. */
  range(piece: number): FlatRange {
    return this.#ranges[piece] as FlatRange;
  }

  /** Where in its range a piece begins, bytes. */
  offset(piece: number): number {
    return this.#offsets[piece] as number;
  }

  /** Bytes of a piece. */
  length(piece: number): number {
    return this.#lengths[piece] as number;
  }

  /**
   * Reads from the part that is for the device to read.
   *
   * @param offset - bytes from its start
   * @returns bytes not copied: what lies behind its end, or in memory that is gone
   */
  copyFrom(offset: number, target: Uint8Array): number {
    if (!isOffset(offset)) return target.length;
    let skip = offset;
    let done = 0;
    for (let piece = 0; piece < this.readablePieces && done < target.length; piece++) {
      const length = this.#lengths[piece] as number;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const n = Math.min(length - skip, target.length - done);
      const range = this.#ranges[piece] as FlatRange;
      const copied = range.copyOut((this.#offsets[piece] as number) + skip, target, done, n);
      done += copied;
      if (copied < n) break;
      skip = 0;
    }
    return target.length - done;
  }

  /**
   * Writes to the part that is for the device to write. What the driver is told is how far was written: fill it from its start.
   *
   * @param offset - bytes from its start
   * @param from - where to begin in the source
   * @param length - bytes; the rest of the source unless given
   * @returns bytes not copied: what lies behind its end, or in memory that is gone
   */
  copyTo(offset: number, source: Uint8Array | ByteViews, from = 0, length: number = sizeOf(source) - from): number {
    if (!isOffset(offset)) return length;
    let skip = offset;
    let done = 0;
    for (let piece = this.readablePieces; piece < this.pieces && done < length; piece++) {
      const here = this.#lengths[piece] as number;
      if (skip >= here) {
        skip -= here;
        continue;
      }
      const n = Math.min(here - skip, length - done);
      const range = this.#ranges[piece] as FlatRange;
      const at = (this.#offsets[piece] as number) + skip;
      const copied = source instanceof Uint8Array ? range.copyIn(at, source, from + done, n) : range.copyViews(at, source, from + done, n);
      done += copied;
      if (copied < n) break;
      skip = 0;
    }
    if (done > 0) this.written = Math.max(this.written, offset + done);
    return length - done;
  }

  /**
   * Copies from the readable part of another chain, guest memory to guest memory, with no stop in between.
   *
   * @param offset - bytes from the start of the writable part
   * @param from - bytes from the start of the other's readable part
   * @returns bytes not copied
   */
  copyChain(offset: number, source: Chain, from: number, length: number): number {
    if (!isOffset(offset) || !isOffset(from)) return length;
    let done = 0;
    let to = this.readablePieces;
    let toSkip = offset;
    let piece = 0;
    let skip = from;
    while (done < length && piece < source.readablePieces && to < this.pieces) {
      const here = source.length(piece) - skip;
      const there = this.length(to) - toSkip;
      if (here <= 0) {
        skip -= source.length(piece++);
        continue;
      }
      if (there <= 0) {
        toSkip -= this.length(to++);
        continue;
      }
      const n = Math.min(here, there, length - done);
      const target = this.range(to);
      const origin = source.range(piece);
      if (!origin.alive() || !target.alive()) break;
      const at = this.offset(to) + toSkip;
      copyViews(origin, source.offset(piece) + skip, target, at, n);
      target.wrote(at, n);
      done += n;
      skip += n;
      toSkip += n;
    }
    if (done > 0) this.written = Math.max(this.written, offset + done);
    return length - done;
  }

  /**
   * Fills the part that is for the device to write.
   *
   * @param fill - given each piece in turn as bytes to fill, up to where the memory is gone
   */
  fill(fill: (bytes: Uint8Array) => void): void {
    let filled = 0;
    for (let piece = this.readablePieces; piece < this.pieces; piece++) {
      const range = this.range(piece);
      if (!range.alive()) break;
      const offset = this.offset(piece);
      const length = this.length(piece);
      try {
        fill(range.bytes.subarray(offset, offset + length));
      } finally {
        range.wrote(offset, length);
      }
      filled += length;
    }
    this.written = Math.max(this.written, filled);
  }

  /**
   * Keeps the chain beyond the handler that was given it: its memory stays in place until it is pushed.
   *
   * @throws {@link VirtioError} `not-in-flight` where the device does not have it
   */
  hold(): void {
    if (!this.taken || this.done) {
      throw new VirtioError("not-in-flight", "this buffer was given back already: hold it before that");
    }
    this.#batch ??= this.#owner.batch();
  }

  /** Whether {@link hold} was called. */
  get held(): boolean {
    return this.#batch !== undefined;
  }

  /**
   * Gives the buffer back. The driver hears of it when the queue is flushed: at the end of the batch, or, for a chain that was
   * held, at once.
   *
   * @param written - bytes written, where it is not what was counted
   * @throws {@link VirtioError} `not-in-flight` where the device does not have it
   */
  push(written: number = this.written): void {
    this.#owner.push(this, written);
  }

  /** Lets go of the memory. @internal */
  release(): void {
    this.#batch?.[Symbol.dispose]();
    this.#batch = undefined;
  }
}
