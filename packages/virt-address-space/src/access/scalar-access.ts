/** Scalars by guest physical address. @module */
import { type GuestAddress, requireAddress } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { CopyAccess } from "./copy-access.ts";
import type { IoValue } from "./io-dispatch.ts";

/** The scalar half of {@link MemoryAccess}. */
export abstract class ScalarAccess extends CopyAccess {
  readonly #io: IoValue = { low: 0, high: 0 };
  readonly #scratch = new DataView(new ArrayBuffer(8));

  /** Reads an unsigned byte. */
  readU8(address: GuestAddress): number | undefined {
    const range = this.find(address);
    if (range !== undefined) {
      const offset = address - range.start;
      const byte = range.bytes[offset];
      if (byte !== undefined) return byte;
    }
    return this.#readSlowly(address, 1)?.getUint8(0);
  }

  /** Reads an unsigned 16-bit number. */
  readU16(address: GuestAddress): number | undefined {
    const range = this.find(address);
    if (range !== undefined) {
      const offset = address - range.start;
      if (offset + 2 <= range.limit && Math.floor(offset) === offset) {
        try {
          return range.data.getUint16(offset, true);
        } catch {
          // The buffer was detached: the slow way binds it anew.
        }
      }
    }
    return this.#readSlowly(address, 2)?.getUint16(0, true);
  }

  /** Reads an unsigned 32-bit number. */
  readU32(address: GuestAddress): number | undefined {
    const range = this.find(address);
    if (range !== undefined) {
      const offset = address - range.start;
      if (offset + 4 <= range.limit && Math.floor(offset) === offset) {
        try {
          return range.data.getUint32(offset, true);
        } catch {
          // The buffer was detached: the slow way binds it anew.
        }
      }
    }
    return this.#readSlowly(address, 4)?.getUint32(0, true);
  }

  /**
   * Reads an unsigned 64-bit number as a number: exact up to 2^53 - 1, above it the nearest double, which is never below
   * 2^53. Fit for addresses and lengths; {@link readBigU64} for the rest.
   */
  readU64(address: GuestAddress): number | undefined {
    const range = this.find(address);
    if (range !== undefined) {
      const offset = address - range.start;
      if (offset + 8 <= range.limit && Math.floor(offset) === offset) {
        try {
          return range.data.getUint32(offset, true) + range.data.getUint32(offset + 4, true) * 2 ** 32;
        } catch {
          // As above.
        }
      }
    }
    const data = this.#readSlowly(address, 8);
    return data && data.getUint32(0, true) + data.getUint32(4, true) * 2 ** 32;
  }

  /** Reads an unsigned 64-bit number. */
  readBigU64(address: GuestAddress): bigint | undefined {
    const range = this.find(address);
    if (range !== undefined) {
      const offset = address - range.start;
      if (offset + 8 <= range.limit && Math.floor(offset) === offset) {
        try {
          return range.data.getBigUint64(offset, true);
        } catch {
          // As above.
        }
      }
    }
    return this.#readSlowly(address, 8)?.getBigUint64(0, true);
  }

  /** Writes the low 8 bits. @returns whether it was written */
  writeU8(address: GuestAddress, value: number): boolean {
    return this.#writeScalar(address, 1, value & 0xff, 0);
  }

  /** Writes the low 16 bits. @returns whether it was written */
  writeU16(address: GuestAddress, value: number): boolean {
    return this.#writeScalar(address, 2, value & 0xffff, 0);
  }

  /** Writes the low 32 bits. @returns whether it was written */
  writeU32(address: GuestAddress, value: number): boolean {
    return this.#writeScalar(address, 4, value >>> 0, 0);
  }

  /**
   * Writes a 64-bit number.
   *
   * @param value - an integer from 0 to 2^53 - 1
   * @returns whether it was written
   * @throws {@link VirtAddressSpaceError} `invalid-argument` for other numbers: use {@link writeBigU64}
   */
  writeU64(address: GuestAddress, value: number): boolean {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new VirtAddressSpaceError("invalid-argument", `${value} is no integer from 0 to 2^53 - 1: use writeBigU64`);
    }
    return this.#writeScalar(address, 8, value >>> 0, Math.floor(value / 2 ** 32));
  }

  /** Writes the low 64 bits. @returns whether it was written */
  writeBigU64(address: GuestAddress, value: bigint): boolean {
    return this.#writeScalar(address, 8, Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
  }

  #writeScalar(address: number, size: 1 | 2 | 4 | 8, low: number, high: number): boolean {
    const range = this.find(address);
    if (range?.writable === true) {
      const offset = address - range.start;
      if (offset + size <= range.limit && Math.floor(offset) === offset && put(range.data, offset, size, low, high)) {
        range.wrote(offset, size);
        return true;
      }
    }
    return this.#writeScalarSlowly(address, size, low, high);
  }

  #writeScalarSlowly(address: number, size: number, low: number, high: number): boolean {
    requireAddress(address);
    const range = this.find(address);
    const whole = range === undefined || address + size <= range.end;
    if (whole && range?.writable !== true) return this.writeIoValue(range, address, size, low, high);
    // All or nothing: what can be seen to fail must fail before the first byte is written.
    if (!this.#reaches(address, size, true)) return false;
    const data = new DataView(new ArrayBuffer(8));
    data.setUint32(0, low, true);
    data.setUint32(4, high, true);
    return this.copyToSlowly(address, new Uint8Array(data.buffer, 0, size)) === 0;
  }

  /** The bytes of a scalar that does not lie within one range of memory; to be read before the next access. */
  #readSlowly(address: number, size: number): DataView | undefined {
    requireAddress(address);
    const range = this.find(address);
    if (range?.io === true && address + size <= range.end) {
      if (!this.cell.io.read(range, address, size, this.#io)) return undefined;
      this.#scratch.setUint32(0, this.#io.low, true);
      this.#scratch.setUint32(4, this.#io.high, true);
      return this.#scratch;
    }
    if (!this.#reaches(address, size, false)) return undefined;
    // Fresh bytes: a handler on the way may use this very access.
    const data = new DataView(new ArrayBuffer(8));
    return this.copyFromSlowly(address, new Uint8Array(data.buffer, 0, size)) === 0 ? data : undefined;
  }

  /** Whether a range is covered by memory of this thread (writable where that matters) and handlers of this thread. */
  #reaches(address: number, length: number, write: boolean): boolean {
    let at = address;
    while (at < address + length) {
      const range = this.find(at);
      if (range === undefined) return false;
      const there = range.io ? range.handler !== undefined : (range.writable || !write) && range.alive();
      if (!there) return false;
      at = range.end;
    }
    return true;
  }
}

/** Stores a scalar. @returns false where the buffer was detached */
function put(data: DataView, offset: number, size: 1 | 2 | 4 | 8, low: number, high: number): boolean {
  try {
    if (size === 4) data.setUint32(offset, low, true);
    else if (size === 2) data.setUint16(offset, low, true);
    else if (size === 1) data.setUint8(offset, low);
    else {
      data.setUint32(offset, low, true);
      data.setUint32(offset + 4, high, true);
    }
    return true;
  } catch {
    return false;
  }
}
