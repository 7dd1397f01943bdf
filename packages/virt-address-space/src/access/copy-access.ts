/**
 * Copies by guest physical address, with a cache of the last range.
 *
 * The cache belongs to the caller and is stamped with the view it came from: the answer to the thread's question whether
 * to cache per CPU or per vCPU. A caller that works in one region never searches, and callers don't evict each other.
 *
 * @module
 */
import { type GuestAddress, requireAddress, requireLength } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { copyBytes, type FlatRange, NO_RANGE } from "../view/flat-range.ts";
import type { FlatView } from "../view/flat-view.ts";
import type { IoValue } from "./io-dispatch.ts";
import type { ViewCell } from "./view-cell.ts";

/** A guest address and a length, bytes. */
export interface GuestRange {
  /** The first address. */
  readonly address: GuestAddress;
  /** Bytes. */
  readonly length: number;
}

/** Misses of the cache before it moves. */
const PATIENCE = 8;

/** The copying half of {@link MemoryAccess}. */
export abstract class CopyAccess {
  /** @internal */
  protected readonly cell: ViewCell;
  #view: FlatView;
  #range: FlatRange = NO_RANGE;
  #misses = 0;
  readonly #io: IoValue = { low: 0, high: 0 };
  readonly #filler = new Uint8Array(8);

  /** `space.access()` makes one. @internal */
  constructor(cell: ViewCell) {
    this.cell = cell;
    this.#view = cell.view;
  }

  /**
   * The range that holds an address, from the cache or by search: for those who walk lists of addresses. A number that is no
   * address finds nothing, or a neighbour.
   */
  find(address: number): FlatRange | undefined {
    const { view } = this.cell;
    const range = this.#range;
    if (view === this.#view) {
      if (address >= range.start && address < range.end) return range;
      // Storing a reference costs as much as a lookup: the cache follows a caller that stays away, not one that jumps.
      const other = view.guess(address);
      if (address >= other.start && address < other.end && this.#misses < PATIENCE) {
        this.#misses++;
        return other;
      }
    }
    return this.#search(view, address);
  }

  #search(view: FlatView, address: number): FlatRange | undefined {
    this.#view = view;
    this.#misses = 0;
    const range = view.find(address);
    this.#range = range ?? NO_RANGE;
    return range;
  }

  /**
   * Writes bytes to guest memory.
   *
   * @returns bytes not copied
   * @throws {@link VirtAddressSpaceError} `invalid-address`
   */
  copyTo(address: GuestAddress, source: Uint8Array): number {
    const range = this.find(address);
    const length = source.length;
    if (range?.writable === true && length !== 0 && source.BYTES_PER_ELEMENT === 1) {
      const offset = address - range.start;
      if (offset + length <= range.limit && Math.floor(offset) === offset && put(range.bytes, source, offset)) {
        range.wrote(offset, length);
        return 0;
      }
    }
    return this.copyToSlowly(address, source);
  }

  /** @internal */
  protected copyToSlowly(address: number, source: Uint8Array): number {
    requireAddress(address);
    requireBytes(source);
    const { length } = source;
    let done = 0;
    // The source is checked again each time: an I/O handler may have detached it.
    while (done < length && source.length === length) {
      const at = address + done;
      const range = this.find(at);
      const n =
        range?.writable === true
          ? range.copyIn(at - range.start, source, done, length - done)
          : this.#writeIo(range, at, source, done, length - done);
      if (n === 0) break;
      done += n;
    }
    return length - done;
  }

  /** Writes one access to an I/O window, a ROM or a hole. @returns bytes written: 0 where nobody took them */
  #writeIo(range: FlatRange | undefined, at: number, source: Uint8Array, from: number, rest: number): number {
    const end = range?.end ?? this.#endOfHole(at);
    const size = ioSize(at, Math.min(rest, end - at), range?.handler?.write64 !== undefined);
    let low = 0;
    let high = 0;
    for (let i = size - 1; i >= 4; i--) high = high * 256 + (source[from + i] as number);
    for (let i = Math.min(size, 4) - 1; i >= 0; i--) low = low * 256 + (source[from + i] as number);
    return this.writeIoValue(range, at, size, low, high) ? size : 0;
  }

  #endOfHole(at: number): number {
    const { view } = this.cell;
    return view.ranges[view.indexFrom(at)]?.start ?? Number.POSITIVE_INFINITY;
  }

  /** @internal */
  protected writeIoValue(range: FlatRange | undefined, at: number, size: number, low: number, high: number): boolean {
    const { io } = this.cell;
    return range?.io === true ? io.write(range, at, size, low, high) : io.ring(at, size, low, high);
  }

  /**
   * Reads guest memory.
   *
   * @param target - filled from its start
   * @returns bytes not copied
   * @throws {@link VirtAddressSpaceError} `invalid-address`
   */
  copyFrom(address: GuestAddress, target: Uint8Array): number {
    const range = this.find(address);
    const length = target.length;
    if (range !== undefined && length !== 0 && target.BYTES_PER_ELEMENT === 1) {
      const offset = address - range.start;
      const { bytes } = range;
      // A fractional offset, and any offset in a detached buffer, has no byte.
      if (offset + length <= range.limit && bytes[offset] !== undefined) {
        copyBytes(bytes, offset, target, 0, length);
        return 0;
      }
    }
    return this.copyFromSlowly(address, target);
  }

  /** @internal */
  protected copyFromSlowly(address: number, target: Uint8Array): number {
    requireAddress(address);
    requireBytes(target);
    const { length } = target;
    let done = 0;
    while (done < length && target.length === length) {
      const at = address + done;
      const range = this.find(at);
      if (range === undefined) break;
      const n = range.io
        ? this.#readIo(range, at, target, done, length - done)
        : range.copyOut(at - range.start, target, done, length - done);
      if (n === 0) break;
      done += n;
    }
    return length - done;
  }

  #readIo(range: FlatRange, at: number, target: Uint8Array, to: number, rest: number): number {
    const size = ioSize(at, Math.min(rest, range.end - at), range.handler?.read64 !== undefined);
    const value = this.#io;
    if (!this.cell.io.read(range, at, size, value)) return 0;
    for (let i = 0; i < size; i++) target[to + i] = i < 4 ? value.low >>> (8 * i) : value.high >>> (8 * (i - 4));
    return size;
  }

  /**
   * Sets bytes of guest memory to one value.
   *
   * @param value - 0 to 255
   * @returns bytes not set
   * @throws {@link VirtAddressSpaceError} `invalid-address`, `invalid-length`, `invalid-argument`
   */
  fill(address: GuestAddress, length: number, value = 0): number {
    requireAddress(address);
    requireLength(length, 0, "the length to fill");
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      throw new VirtAddressSpaceError("invalid-argument", `${value} is no byte: fill with a whole number from 0 to 255`, { value });
    }
    let done = 0;
    while (done < length) {
      const at = address + done;
      const range = this.find(at);
      let n: number;
      if (range?.writable === true) {
        n = range.fill(at - range.start, length - done, value);
      } else {
        this.#filler.fill(value);
        n = this.#writeIo(range, at, this.#filler, 0, Math.min(8, length - done));
      }
      if (n === 0) break;
      done += n;
    }
    return length - done;
  }

  /**
   * Writes bytes to several ranges in turn.
   *
   * @returns bytes of the source not copied; the first range that stops ends it, and so does the end of the ranges
   */
  scatter(ranges: readonly GuestRange[], source: Uint8Array): number {
    let done = 0;
    requireRanges(ranges);
    for (const { address, length } of ranges) {
      const n = Math.min(length, source.length - done);
      if (n === 0) continue;
      const left = this.copyTo(address, source.subarray(done, done + n));
      done += n - left;
      if (left > 0) break;
    }
    return source.length - done;
  }

  /**
   * Reads several ranges in turn into one target.
   *
   * @returns bytes of the target not filled; the first range that stops ends it, and so does the end of the ranges
   */
  gather(ranges: readonly GuestRange[], target: Uint8Array): number {
    let done = 0;
    requireRanges(ranges);
    for (const { address, length } of ranges) {
      const n = Math.min(length, target.length - done);
      if (n === 0) continue;
      const left = this.copyFrom(address, target.subarray(done, done + n));
      done += n - left;
      if (left > 0) break;
    }
    return target.length - done;
  }

  /** Marks memory as written by somebody who wrote past the space: bytes in holes and windows are passed over. */
  markDirty(address: GuestAddress, length: number): void {
    requireAddress(address);
    requireLength(length, 0, "the length to mark");
    this.cell.view.forEachPart(address, length, (range, offset, bytes) => range.wrote(offset, bytes));
  }
}

/** Throws for a list with a bad entry, before anything is done with the good ones. */
function requireRanges(ranges: readonly GuestRange[]): void {
  for (const { address, length } of ranges) {
    requireAddress(address);
    requireLength(length, 0, "the length of a range");
  }
}

/** Throws for what only looks like bytes: JavaScript would copy a string as zeros. */
function requireBytes(bytes: Uint8Array): void {
  if (bytes instanceof Uint8Array) return;
  throw new VirtAddressSpaceError("invalid-argument", "a copy needs a Uint8Array: make one of the buffer, or encode the text");
}

/** Bytes of the next access of a copy to an I/O window: as large as alignment and the rest allow. */
function ioSize(at: number, rest: number, wide: boolean): number {
  if (wide && rest >= 8 && at % 8 === 0) return 8;
  if (rest >= 4 && at % 4 === 0) return 4;
  return rest >= 2 && at % 2 === 0 ? 2 : 1;
}

/** Stores bytes. @returns false where the buffer was detached */
function put(target: Uint8Array, source: Uint8Array, offset: number): boolean {
  try {
    target.set(source, offset);
    return true;
  } catch {
    return false;
  }
}
