/** Access by guest physical address, whole: copies, scalars and atomics. @module */
import { type GuestAddress, requireAddress } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { FlatRange } from "../view/flat-range.ts";
import { ScalarAccess } from "./scalar-access.ts";

/**
 * Reads and writes guest memory by address. `space.access()` makes one; a space is one itself.
 *
 * **Copies** return the number of bytes *not* copied: 0 is success. A hole, a ROM (for writes) or memory of another thread
 * stops a copy exactly at its edge; the edge between two regions does not. Bytes before the stop have been copied.
 *
 * **Scalars** are little-endian and need no alignment. Reads return undefined, writes false, where not every byte can be
 * had; then nothing was written to memory.
 *
 * **I/O windows** are called for their part: a scalar within the window as one access of its size, copies as naturally
 * aligned accesses of at most 4 bytes (8 for handlers that take 8).
 *
 * A number that is no address is an author's mistake and throws `invalid-address`.
 */
export class MemoryAccess extends ScalarAccess {
  /**
   * Reads atomically (sequentially consistent).
   *
   * @param width - 8, 16 or 32 bits; the address is aligned to it
   * @returns undefined where there is no memory, or it is not aligned
   */
  atomicLoad(address: GuestAddress, width: 8 | 16 | 32): number | undefined {
    const range = this.#atomicRange(address, width, false);
    if (range === undefined) return undefined;
    const index = address - range.start + range.words().shift;
    if (width === 32) return Atomics.load(range.words().u32, index / 4);
    return width === 16 ? Atomics.load(range.words().u16, index / 2) : Atomics.load(range.words().u8, index);
  }

  /** As {@link atomicLoad} with 64 bits. */
  atomicLoad64(address: GuestAddress): bigint | undefined {
    const range = this.#atomicRange(address, 64, false);
    if (range === undefined) return undefined;
    return Atomics.load(range.words().u64, (address - range.start + range.words().shift) / 8);
  }

  /** Writes atomically (sequentially consistent). @returns whether it was written */
  atomicStore(address: GuestAddress, width: 8 | 16 | 32, value: number): boolean {
    const range = this.#atomicRange(address, width, true);
    if (range === undefined) return false;
    const index = address - range.start + range.words().shift;
    if (width === 32) Atomics.store(range.words().u32, index / 4, value);
    else if (width === 16) Atomics.store(range.words().u16, index / 2, value);
    else Atomics.store(range.words().u8, index, value);
    range.wrote(address - range.start, width / 8);
    return true;
  }

  /** As {@link atomicStore} with 64 bits. */
  atomicStore64(address: GuestAddress, value: bigint): boolean {
    const range = this.#atomicRange(address, 64, true);
    if (range === undefined) return false;
    Atomics.store(range.words().u64, (address - range.start + range.words().shift) / 8, value);
    range.wrote(address - range.start, 8);
    return true;
  }

  /**
   * Replaces a value where it is what was expected.
   *
   * @returns the value found: equal to `expected` where it was replaced; undefined where there is no writable memory, or
   *   it is not aligned
   */
  atomicCompareExchange(address: GuestAddress, width: 8 | 16 | 32, expected: number, replacement: number): number | undefined {
    const range = this.#atomicRange(address, width, true);
    if (range === undefined) return undefined;
    const words = range.words();
    const index = address - range.start + words.shift;
    let found: number;
    if (width === 32) found = Atomics.compareExchange(words.u32, index / 4, expected, replacement);
    else if (width === 16) found = Atomics.compareExchange(words.u16, index / 2, expected, replacement);
    else found = Atomics.compareExchange(words.u8, index, expected, replacement);
    range.wrote(address - range.start, width / 8);
    return found;
  }

  /** As {@link atomicCompareExchange} with 64 bits. */
  atomicCompareExchange64(address: GuestAddress, expected: bigint, replacement: bigint): bigint | undefined {
    const range = this.#atomicRange(address, 64, true);
    if (range === undefined) return undefined;
    const words = range.words();
    const index = (address - range.start + words.shift) / 8;
    const found = Atomics.compareExchange(words.u64, index, expected, replacement);
    range.wrote(address - range.start, 8);
    return found;
  }

  /** The memory for an atomic access: alive, aligned in the guest's eyes and in the host's. */
  #atomicRange(address: number, width: number, write: boolean): FlatRange | undefined {
    const size = width / 8;
    if (!Number.isInteger(size)) {
      throw new VirtAddressSpaceError("invalid-argument", `an atomic access is 8, 16 or 32 bits wide, not ${width}: the width is in bits`, {
        width,
      });
    }
    if (address % size !== 0) {
      requireAddress(address);
      return undefined;
    }
    const range = this.find(address);
    if (range === undefined || range.io || !range.alive()) {
      requireAddress(address);
      return undefined;
    }
    const offset = address - range.start;
    if (write && !range.writable) return undefined;
    if ((offset + range.words().shift) % size !== 0) return undefined;
    return offset + size <= range.bytes.length ? range : undefined;
  }
}
