/**
 * A range of the flat view: guest addresses that show one run of one memory, or one part of one I/O window.
 *
 * @module
 */
import type { GuestAddress } from "../address/addresses.ts";
import { NO_BYTES } from "../memory/memory-provider.ts";
import type { IoHandler } from "../region/io-handler.ts";
import { Region } from "../region/region.ts";
import { type ByteViews, copyViews } from "./byte-views.ts";
import type { SpaceMemory } from "./space-memory.ts";

/** What stands behind a range, aliases resolved. */
export interface RangeContent {
  /** Undefined for an I/O window, and for memory that can't leave another thread. */
  readonly memory: SpaceMemory | undefined;
  /** Where the range begins in its memory, or in its I/O window, bytes. */
  readonly offset: number;
  readonly writable: boolean;
  /** The region that was mapped. */
  readonly region: Region;
  /** The region at the end of all aliases: RAM, ROM or I/O. */
  readonly source: Region;
}

/** A part of a flat view. All but the cached arrays is immutable. */
export class FlatRange implements ByteViews {
  /** The first guest address. */
  readonly start: GuestAddress;
  /** Bytes. */
  readonly size: number;
  /** One past the last guest address. */
  readonly end: number;
  /** The region that shows here. */
  readonly region: Region;
  /** The region at the end of all aliases: RAM, ROM or an I/O window. */
  readonly source: Region;
  /** Whether writes reach memory. */
  readonly writable: boolean;
  /** Where the range begins in its memory, or in its I/O window, bytes. */
  readonly offset: number;
  /** The memory behind it as the space knows it; undefined for I/O and for memory of another thread. */
  readonly memory: SpaceMemory | undefined;
  /** The handler behind an I/O window of this thread. */
  readonly handler: IoHandler | undefined;
  /**
   * The range's bytes; empty for I/O, and after the provider's buffer moved, until the next access. Whoever writes here tells
   * {@link wrote}; nobody writes to a range that is not writable.
   */
  bytes: Uint8Array;
  /** A DataView of the same bytes. It throws once its buffer was detached. */
  data: DataView;
  /** Bytes that `bytes` and `data` had when they were bound: asking an array for its length costs more than reading it. @internal */
  limit: number;
  #words: AtomicViews | undefined;

  /** @internal */
  constructor(start: GuestAddress, size: number, content: RangeContent) {
    this.start = start;
    this.size = size;
    this.end = start + size;
    this.region = content.region;
    this.source = content.source;
    this.writable = content.writable;
    this.offset = content.offset;
    this.memory = content.memory;
    this.handler = content.source.handler;
    this.bytes = NO_BYTES;
    this.data = NO_DATA;
    this.limit = 0;
    this.refresh();
  }

  /** Whether the range is an I/O window, here or in another thread. */
  get io(): boolean {
    return this.source.kind === "io";
  }

  /** Binds the arrays to the memory's buffer as it is now. @returns whether there are bytes @internal */
  refresh(): boolean {
    if (this.memory === undefined) return false;
    const whole = this.memory.provider.bytes();
    this.#words = undefined;
    if (this.offset + this.size > whole.length) {
      this.bytes = NO_BYTES;
      this.data = NO_DATA;
      this.limit = 0;
      return false;
    }
    this.bytes = whole.subarray(this.offset, this.offset + this.size);
    this.data = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.size);
    this.limit = this.size;
    return true;
  }

  /** Whether the bytes are there, bound anew where the buffer moved. */
  alive(): boolean {
    return this.bytes.length !== 0 || this.refresh();
  }

  /**
   * Copies bytes into the range, up to its end, and marks them as written.
   *
   * @param offset - bytes from the start of the range
   * @param from - where to begin in the source
   * @returns bytes copied; 0 where the memory is gone or not writable
   */
  copyIn(offset: number, source: Uint8Array, from: number, length: number): number {
    const n = this.#within(offset, Math.min(length, source.length - from));
    if (n === 0 || !this.writable || !this.alive()) return 0;
    copyBytes(source, from, this.bytes, offset, n);
    this.wrote(offset, n);
    return n;
  }

  /**
   * Copies bytes that have both views into the range, up to its end, and marks them as written.
   *
   * @param offset - bytes from the start of the range
   * @param from - where to begin in the source
   * @returns bytes copied; 0 where the memory is gone or not writable
   */
  copyViews(offset: number, source: ByteViews, from: number, length: number): number {
    const n = this.#within(offset, Math.min(length, source.bytes.length - from));
    if (n === 0 || !this.writable || !this.alive()) return 0;
    copyViews(source, from, this, offset, n);
    this.wrote(offset, n);
    return n;
  }

  /**
   * Copies bytes out of the range, up to its end.
   *
   * @param offset - bytes from the start of the range
   * @param to - where to begin in the target
   * @returns bytes copied; 0 where the memory is gone
   */
  copyOut(offset: number, target: Uint8Array, to: number, length: number): number {
    const n = this.#within(offset, Math.min(length, target.length - to));
    if (n === 0 || !this.alive()) return 0;
    copyBytes(this.bytes, offset, target, to, n);
    return n;
  }

  /**
   * Sets bytes of the range to one value, up to its end, and marks them as written.
   *
   * @param offset - bytes from the start of the range
   * @returns bytes set; 0 where the memory is gone or not writable
   */
  fill(offset: number, length: number, value: number): number {
    const n = this.#within(offset, length);
    if (n === 0 || !this.writable || !this.alive()) return 0;
    this.bytes.fill(value, offset, offset + n);
    this.wrote(offset, n);
    return n;
  }

  /** Bytes of a part that lie in the range. */
  #within(offset: number, length: number): number {
    return offset >= 0 && Number.isInteger(offset) ? Math.max(Math.min(length, this.size - offset), 0) : 0;
  }

  /** Records a write that went past this object, bytes from the start of the range. */
  wrote(offset: number, length: number): void {
    if (this.memory?.tracked === true) this.memory.wrote(this.offset + offset, length);
  }

  /** Arrays for Atomics over the same bytes. @internal */
  words(): AtomicViews {
    this.#words ??= new AtomicViews(this.bytes);
    return this.#words;
  }

  /** Whether another range shows the same bytes at the same place. @internal */
  same(start: number, size: number, content: RangeContent): boolean {
    return (
      this.start === start &&
      this.size === size &&
      this.region === content.region &&
      this.source === content.source &&
      this.memory === content.memory &&
      this.offset === content.offset &&
      this.writable === content.writable
    );
  }
}

/** Up to here a loop over bytes is faster than making a view of a part of the source. */
const SMALL = 32;

/** Copies bytes between arrays; both have them, and they may overlap. */
export function copyBytes(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  if (length > SMALL) target.set(from === 0 && length === source.length ? source : source.subarray(from, from + length), to);
  // Which buffers they are costs more to ask than the copy: this order is right in the same one, and as good in others.
  else if (source.byteOffset + from < target.byteOffset + to)
    for (let i = length - 1; i >= 0; i--) target[to + i] = source[from + i] as number;
  else for (let i = 0; i < length; i++) target[to + i] = source[from + i] as number;
}

const NO_DATA = new DataView(new ArrayBuffer(0));
const NOWHERE = new Region({ name: "nowhere", kind: "ram", size: 0, priority: 0, offset: 0 });

/** A range that holds no address: where a lookup has none it saves the test for undefined. */
export const NO_RANGE: FlatRange = new FlatRange(0 as GuestAddress, 0, {
  memory: undefined,
  offset: 0,
  writable: false,
  region: NOWHERE,
  source: NOWHERE,
});

/** Typed arrays over the naturally aligned part of some bytes; `shift` turns an offset in the bytes into one in the arrays. */
export class AtomicViews {
  readonly shift: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset, length } = bytes;
    this.shift = byteOffset % 8;
    const start = byteOffset - this.shift;
    const size = length + this.shift;
    this.u8 = new Uint8Array(buffer, start, size);
    this.u16 = new Uint16Array(buffer, start, Math.floor(size / 2));
    this.u32 = new Uint32Array(buffer, start, Math.floor(size / 4));
    this.u64 = new BigUint64Array(buffer, start, Math.floor(size / 8));
  }
}
