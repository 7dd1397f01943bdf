/**
 * Where a region's bytes come from. A provider owns one run of host memory and hands it out as a Uint8Array; whether that
 * is an ArrayBuffer, a mapped memfd or the inside of a WebAssembly engine is its own business.
 *
 * A provider does not know at which guest address it is mapped, nor in how many spaces.
 *
 * @module
 */
import { requireLength } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { MemoryDescriptor } from "./memory-descriptor.ts";

/** Keeps a provider's memory alive until disposed. */
export interface MemoryReference extends Disposable {
  /** The memory that is kept. */
  readonly memory: MemoryProvider;
  /** Takes the retain back as if it had never been: memory that nobody else retains is not freed. For what was tried and failed. */
  abandon(): void;
}

/** A part of a provider's memory. */
export interface MemoryExtent {
  /** Bytes from the start of the memory. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** What has no bytes: a window that was revoked, memory that is gone. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);

/**
 * The base of all memory providers.
 *
 * A new kind implements `kind`, `bytes`, `free` and, where other threads can have it, `share`; it calls `moved` when its
 * buffer was replaced. The suite `memoryProviderSuite` of `@virtspace/conformance` tells whether it does so properly.
 *
 * **Lifetime.** A provider starts with no reference. A space retains it while a region is mapped (and until every holder
 * has let go of it after the unmap); whoever needs it longer retains it too. When the last reference goes, `free` is
 * called, once, and the memory has no bytes from then on.
 */
export abstract class MemoryProvider {
  /** A word for this kind of memory, which its opener shares: `array-buffer`, `memfd`, ... */
  abstract readonly kind: string;
  /** Bytes; never changes. */
  readonly size: number;
  /** Whether {@link hostWrote} wants to be called; a provider without need saves every writer the call. */
  readonly observesWrites: boolean = false;
  /** Whether the buffer is never detached or replaced without `moved()`; others cost their windows a check at each use. */
  readonly stable: boolean = true;

  #references = 0;
  #released = false;
  readonly #moveListeners = new Set<() => void>();
  readonly #openWindows = new Set<MemoryExtent>();

  /**
   * @param size - bytes, at least 1
   * @throws {@link VirtAddressSpaceError} `invalid-length`
   */
  constructor(size: number) {
    requireLength(size, 1, "the size of the memory");
    this.size = size;
  }

  /**
   * The whole memory as it stands now: the same object until the buffer moves, then another one; length 0 once the memory
   * is gone. Callers ask again whenever the array that they hold has become empty.
   */
  abstract bytes(): Uint8Array;

  /** Gives the memory back to the host. After it, `bytes()` must be empty, and arrays handed out before must not crash. */
  protected abstract free(): void;

  /** The memory as a value for another thread or process, or undefined where it can't leave this thread. */
  share(): MemoryDescriptor | undefined {
    return undefined;
  }

  /** Told after every write from the host's side, where {@link observesWrites} is set. It must not throw. */
  hostWrote(_offset: number, _length: number): void {}

  /**
   * The parts that may hold something else than zeros, in order, where the provider can tell cheaply (a sparse file);
   * undefined means that all of it may. Saving skips the rest without reading it.
   */
  populated(): Iterable<MemoryExtent> | undefined {
    return undefined;
  }

  /** Whether the last reference has gone. */
  get released(): boolean {
    return this.#released;
  }

  /**
   * Keeps the memory alive.
   *
   * @throws {@link VirtAddressSpaceError} `released` once it was freed
   */
  retain(): MemoryReference {
    if (this.#released) {
      throw new VirtAddressSpaceError("released", `this ${this.kind} memory was released: make a new one`, {
        kind: this.kind,
      });
    }
    this.#references++;
    let held = true;
    const drop = (): boolean => {
      const dropped = held;
      held = false;
      if (dropped) this.#references--;
      return dropped;
    };
    return {
      memory: this,
      abandon: () => void drop(),
      [Symbol.dispose]: () => {
        if (!drop() || this.#references > 0) return;
        this.#released = true;
        this.free();
        this.moved();
      },
    };
  }

  /** Calls back after the buffer was replaced or freed. */
  onMove(listener: () => void): Disposable {
    this.#moveListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#moveListeners.delete(listener) };
  }

  /** The parts under writable windows whose holders don't say what they write: an engine that caches code asks for these before it runs. */
  openWindows(): Iterable<MemoryExtent> {
    return this.#openWindows;
  }

  /** Records a writable window. @internal */
  trackWindow(extent: MemoryExtent): Disposable {
    this.#openWindows.add(extent);
    return { [Symbol.dispose]: () => void this.#openWindows.delete(extent) };
  }

  /** To be called by a provider whose buffer was replaced, so that windows are bound anew. */
  protected moved(): void {
    for (const listener of [...this.#moveListeners]) listener();
  }
}

/** Makes a buffer, or throws `invalid-length` where the host has not that much. */
export function allocated<T>(size: number, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new VirtAddressSpaceError(
      "invalid-length",
      `this host can't give ${size} bytes in one piece: map several smaller ones`,
      { value: size },
      { cause },
    );
  }
}
