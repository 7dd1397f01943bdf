/**
 * Brings single accesses to the I/O handlers of this thread: doorbells first, no re-entry, and a handler that throws
 * harms nothing but its own access.
 *
 * @module
 */
import type { DoorbellTable } from "../doorbell/doorbell-table.ts";
import type { SpaceFault } from "../error/space-fault.ts";
import type { IoHandler, IoSize } from "../region/io-handler.ts";
import type { Region } from "../region/region.ts";
import type { FlatRange } from "../view/flat-range.ts";

/** The value of an access of up to 8 bytes, as two halves: no bigint on the way. */
export interface IoValue {
  low: number;
  high: number;
}

/** Dispatches accesses of 1, 2, 4 and 8 bytes. */
export class IoDispatch {
  readonly #doorbells: DoorbellTable;
  readonly #report: (fault: SpaceFault) => void;
  /** Windows that serve an access now, the innermost last: seldom more than one. */
  readonly #active: Region[] = [];
  /** Regions that were reported: a guest can repeat its access a million times a second. */
  readonly #reported = new WeakSet<Region>();

  constructor(doorbells: DoorbellTable, report: (fault: SpaceFault) => void) {
    this.#doorbells = doorbells;
    this.#report = report;
  }

  /** Rings the doorbell for a write to what is not RAM. @returns whether there was one */
  ring(address: number, size: number, low: number, high: number): boolean {
    return this.#doorbells.ring(address, size, low, high);
  }

  /** Reads from a window that is wholly within the range. @returns whether it succeeded, the value in `into` */
  read(range: FlatRange, address: number, size: number, into: IoValue): boolean {
    return this.#guarded(range, (handler) => {
      const offset = range.offset + (address - range.start);
      if (size !== 8) {
        into.low = masked(handler.read(offset, size as IoSize), size);
        into.high = 0;
      } else if (handler.read64 !== undefined) {
        const value = BigInt.asUintN(64, handler.read64(offset));
        into.low = Number(value & 0xffff_ffffn);
        into.high = Number(value >> 32n);
      } else {
        // Both before either is stored: the handler may use the access that `into` belongs to.
        const low = handler.read(offset, 4);
        into.high = masked(handler.read(offset + 4, 4), 4);
        into.low = masked(low, 4);
      }
    });
  }

  /** Writes to a window that is wholly within the range, or rings. @returns whether it succeeded */
  write(range: FlatRange, address: number, size: number, low: number, high: number): boolean {
    if (this.#doorbells.ring(address, size, low, high)) return true;
    return this.#guarded(range, (handler) => {
      const offset = range.offset + (address - range.start);
      if (size !== 8) {
        handler.write(offset, size as IoSize, low);
      } else if (handler.write64 !== undefined) {
        handler.write64(offset, (BigInt(high) << 32n) | BigInt(low));
      } else {
        handler.write(offset, 4, low);
        handler.write(offset + 4, 4, high);
      }
    });
  }

  #guarded(range: FlatRange, call: (handler: IoHandler) => void): boolean {
    const { handler, source } = range;
    if (handler === undefined) return false;
    if (this.#active.includes(source)) {
      this.#reportOnce(source, { code: "reentered", name: source.name });
      return false;
    }
    this.#active.push(source);
    try {
      call(handler);
      return true;
    } catch (cause) {
      this.#reportOnce(source, { code: "handler-failed", name: source.name, cause });
      return false;
    } finally {
      this.#active.pop();
    }
  }

  #reportOnce(region: Region, fault: SpaceFault): void {
    if (this.#reported.has(region)) return;
    this.#reported.add(region);
    this.#report(fault);
  }
}

function masked(value: number, size: number): number {
  if (size === 4) return value >>> 0;
  return size === 2 ? value & 0xffff : value & 0xff;
}
