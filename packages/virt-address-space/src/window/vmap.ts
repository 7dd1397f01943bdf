/**
 * A window on guest memory: typed arrays that stay bound to a guest address, at the speed of raw memory.
 *
 * @module
 */
import type { GuestAddress } from "../address/addresses.ts";
import { NO_BYTES } from "../memory/memory-provider.ts";
import type { SpaceMemory } from "../view/space-memory.ts";

/** How a window is used. */
export interface VmapOptions {
  /** Whether it will be written; true unless given. A window for reading works on ROM too. */
  readonly write?: boolean;
  /**
   * A promise to call `markDirty` after each write. Without it an open writable window counts as wholly dirty at every
   * harvest of a dirty log, and once more when it closes.
   */
  readonly marks?: boolean;
  /** Called when the window was revoked or its arrays were bound anew; also see {@link Vmap.onChange}. */
  readonly onChange?: (change: VmapChange) => void;
}

/** `moved`: the provider's buffer was replaced, take the arrays again. `revoked`: the address no longer shows this memory. */
export type VmapChange = "moved" | "revoked";

/** Where a window lies; for the space's own use. */
export interface WindowPlace {
  readonly address: GuestAddress;
  readonly length: number;
  readonly memory: SpaceMemory;
  /** Bytes from the start of the memory. */
  readonly offset: number;
}

/** What the space does for a window. */
export interface WindowOwner {
  closed(window: Vmap): void;
}

const NO_U16 = new Uint16Array(0);
const NO_U32 = new Uint32Array(0);
const NO_U64 = new BigUint64Array(0);
const NO_DATA = new DataView(new ArrayBuffer(0));

/**
 * A window on guest memory, made by `space.vmap`. Dispose it when done; `using` does.
 *
 * The arrays are properties, so that `ring.u32[0]` always reads the memory of now. A window that was revoked or closed has
 * arrays of length 0: reads give undefined and writes go nowhere. An array that was kept aside keeps its own fate: memory
 * in a (Shared)ArrayBuffer stays readable, memory of a native provider reads as undefined once it was unmapped.
 */
export class Vmap implements Disposable {
  readonly address: GuestAddress;
  /** Bytes. */
  readonly length: number;
  readonly writable: boolean;
  /** Whether the holder promised to mark what it writes. */
  readonly marks: boolean;
  readonly #place: WindowPlace;
  readonly #owner: WindowOwner;
  readonly #listeners = new Set<(change: VmapChange) => void>();
  #open = true;
  #bytes: Uint8Array = NO_BYTES;
  #u16: Uint16Array = NO_U16;
  #u32: Uint32Array = NO_U32;
  #u64: BigUint64Array = NO_U64;
  #data: DataView = NO_DATA;

  /** For the space's own use. */
  constructor(place: WindowPlace, options: VmapOptions, owner: WindowOwner) {
    this.address = place.address;
    this.length = place.length;
    this.writable = options.write ?? true;
    this.marks = options.marks ?? false;
    this.#place = place;
    this.#owner = owner;
    if (options.onChange !== undefined) this.#listeners.add(options.onChange);
  }

  /** Whether the window shows memory: neither revoked nor closed. */
  get valid(): boolean {
    return this.#open;
  }

  /** Where the window lies in its memory. */
  get place(): WindowPlace {
    return this.#place;
  }

  /** The bytes. */
  get u8(): Uint8Array {
    const bytes = this.#bytes;
    return bytes.length !== 0 ? bytes : this.#bind();
  }

  /** The bytes as little-endian 16-bit numbers; empty where the address is not aligned to 2. */
  get u16(): Uint16Array {
    const array = this.#u16;
    return array.length !== 0 ? array : this.#bindWords(2, Uint16Array, NO_U16, (words) => (this.#u16 = words));
  }

  /** The bytes as little-endian 32-bit numbers; empty where the address is not aligned to 4. */
  get u32(): Uint32Array {
    const array = this.#u32;
    return array.length !== 0 ? array : this.#bindWords(4, Uint32Array, NO_U32, (words) => (this.#u32 = words));
  }

  /** The bytes as little-endian 64-bit numbers; empty where the address is not aligned to 8. */
  get u64(): BigUint64Array {
    const array = this.#u64;
    return array.length !== 0 ? array : this.#bindWords(8, BigUint64Array, NO_U64, (words) => (this.#u64 = words));
  }

  /** The bytes as a DataView, for what is not aligned. A view of length 0 throws a RangeError when it is read: ask {@link valid}. */
  get data(): DataView {
    // A DataView can't be asked whether its buffer was detached without throwing; the byte array can.
    if (this.#bytes.length === 0) this.#bind();
    return this.#data;
  }

  /**
   * Records that the holder wrote: for windows that were opened with `marks`, after the write.
   *
   * @param offset - bytes from the start of the window
   * @param length - bytes; what lies outside the window is passed over
   */
  markDirty(offset: number, length: number): void {
    const from = Math.max(offset, 0);
    const n = Math.min(offset + length, this.length) - from;
    const { memory } = this.#place;
    if (this.#open && memory.tracked && n > 0) memory.wrote(this.#place.offset + from, n);
  }

  /** Calls back when the window was revoked or bound anew. */
  onChange(listener: (change: VmapChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Closes the window. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#open) this.#close();
  }

  /** Takes the memory away; for the space's own use. @returns the holders to tell */
  revoke(): Iterable<(change: VmapChange) => void> {
    if (!this.#open) return [];
    this.#close();
    return [...this.#listeners];
  }

  /** Forgets the arrays of a buffer that was replaced; for the space's own use. @returns the holders to tell */
  rebind(): Iterable<(change: VmapChange) => void> {
    if (!this.#open) return [];
    this.#forget();
    return [...this.#listeners];
  }

  #close(): void {
    this.#owner.closed(this);
    this.#open = false;
    this.#forget();
  }

  #forget(): void {
    this.#bytes = NO_BYTES;
    this.#u16 = NO_U16;
    this.#u32 = NO_U32;
    this.#u64 = NO_U64;
    this.#data = NO_DATA;
  }

  #bind(): Uint8Array {
    this.#forget();
    if (!this.#open) return NO_BYTES;
    const { memory, offset, length } = this.#place;
    const whole = memory.provider.bytes();
    if (offset + length > whole.length) return NO_BYTES;
    this.#bytes = whole.subarray(offset, offset + length);
    this.#data = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, length);
    return this.#bytes;
  }

  #bindWords<T>(
    width: number,
    Words: new (buffer: ArrayBufferLike, offset: number, length: number) => T,
    none: T,
    keep: (words: T) => T,
  ): T {
    const bytes = this.u8;
    if (bytes.length < width || bytes.byteOffset % width !== 0) return none;
    return keep(new Words(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / width)));
  }
}
