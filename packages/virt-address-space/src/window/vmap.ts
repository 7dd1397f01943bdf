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

/** Where a window lies. @internal */
export interface WindowPlace {
  /** The first guest address. */
  readonly address: GuestAddress;
  /** Bytes. */
  readonly length: number;
  /** What it shows a part of. */
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

/**
 * A window on guest memory, made by `space.vmap`. Dispose it when done; `using` does.
 *
 * The arrays are properties, so that `ring.u32[0]` always reads the memory of now. A window that was revoked or closed has
 * arrays of length 0: reads give undefined and writes go nowhere. An array that was kept aside keeps its own fate: memory
 * in a (Shared)ArrayBuffer stays readable, memory of a native provider reads as undefined once it was unmapped.
 */
export class Vmap implements Disposable {
  /** The first guest address. */
  readonly address: GuestAddress;
  /** Bytes. */
  readonly length: number;
  /** Whether it was opened for writing. */
  readonly writable: boolean;
  /** Whether the holder promised to mark what it writes. */
  readonly marks: boolean;
  readonly #place: WindowPlace;
  readonly #owner: WindowOwner;
  readonly #listeners = new Set<(change: VmapChange) => void>();
  #open = true;
  // Bound when the window opens and never undefined: a test at each use would cost more than the use.
  #u8: Uint8Array = NO_BYTES;
  #u16: Uint16Array = NO_U16;
  #u32: Uint32Array = NO_U32;
  #u64: BigUint64Array = NO_U64;

  /** @internal */
  constructor(place: WindowPlace, options: VmapOptions, owner: WindowOwner) {
    this.address = place.address;
    this.length = place.length;
    this.writable = options.write ?? true;
    this.marks = options.marks ?? false;
    this.#place = place;
    this.#owner = owner;
    if (options.onChange !== undefined) this.#listeners.add(options.onChange);
    this.bind();
  }

  /** Whether the window shows memory: neither revoked nor closed. */
  get valid(): boolean {
    return this.#open;
  }

  /** Where the window lies in its memory. @internal */
  get place(): WindowPlace {
    return this.#place;
  }

  /** The bytes. */
  get u8(): Uint8Array {
    return this.#u8;
  }

  /** The bytes as little-endian 16-bit numbers; empty where the address is not aligned to 2. */
  get u16(): Uint16Array {
    return this.#u16;
  }

  /** The bytes as little-endian 32-bit numbers; empty where the address is not aligned to 4. */
  get u32(): Uint32Array {
    return this.#u32;
  }

  /** The bytes as little-endian 64-bit numbers; empty where the address is not aligned to 8. */
  get u64(): BigUint64Array {
    return this.#u64;
  }

  /** A new DataView of the bytes, for what is not aligned; to be kept no longer than a synchronous piece of work. */
  get data(): DataView {
    const { buffer, byteOffset, length } = this.u8;
    return new DataView(buffer, byteOffset, length);
  }

  /**
   * Records that the holder wrote: for windows that were opened with `marks`, after the write.
   *
   * @param offset - bytes from the start of the window
   * @param length - bytes; what lies outside the window is passed over
   */
  markDirty(offset: number, length: number): void {
    const { memory } = this.#place;
    // Mostly nobody wants to know.
    if (!memory.tracked || !this.#open) return;
    const from = Math.max(offset, 0);
    const n = Math.min(offset + length, this.length) - from;
    if (n > 0) memory.wrote(this.#place.offset + from, n);
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

  /** Takes the memory away. @internal @returns the holders to tell */
  revoke(): Iterable<(change: VmapChange) => void> {
    if (!this.#open) return [];
    this.#close();
    return [...this.#listeners];
  }

  /** Takes the arrays of the buffer that replaced another. @internal @returns the holders to tell */
  rebind(): Iterable<(change: VmapChange) => void> {
    if (!this.#open) return [];
    this.bind();
    return [...this.#listeners];
  }

  /** Takes the arrays from the memory as it is now. @internal */
  protected bind(): void {
    const { memory, offset, length } = this.#place;
    const whole = this.#open ? memory.provider.bytes() : NO_BYTES;
    const bytes = offset + length <= whole.length ? whole.subarray(offset, offset + length) : NO_BYTES;
    this.#u8 = bytes;
    this.#u16 = wordsOf(bytes, Uint16Array, NO_U16);
    this.#u32 = wordsOf(bytes, Uint32Array, NO_U32);
    this.#u64 = wordsOf(bytes, BigUint64Array, NO_U64);
  }

  #close(): void {
    this.#open = false;
    this.bind();
    this.#owner.closed(this);
  }
}

/** A window on memory whose buffer may be detached with no word said: it looks at each use. */
export class LooseVmap extends Vmap {
  override get u8(): Uint8Array {
    this.#look();
    return super.u8;
  }

  override get u16(): Uint16Array {
    this.#look();
    return super.u16;
  }

  override get u32(): Uint32Array {
    this.#look();
    return super.u32;
  }

  override get u64(): BigUint64Array {
    this.#look();
    return super.u64;
  }

  #look(): void {
    if (super.u8.length === 0 && this.valid) this.bind();
  }
}

interface Words<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, offset: number, length: number): T;
}

function wordsOf<T>({ buffer, byteOffset, length }: Uint8Array, Words: Words<T>, none: T): T {
  const width = Words.BYTES_PER_ELEMENT;
  return length < width || byteOffset % width !== 0 ? none : new Words(buffer, byteOffset, Math.floor(length / width));
}
