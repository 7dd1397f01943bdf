/**
 * The one place where descriptors are believed: checks each, read once, and makes pieces of guest memory of it. Nothing is
 * done with a chain before all of it was checked.
 *
 * @module
 */
import type { FlatRange, MemoryAccess } from "@virtspace/virt-address-space";
import type { Chain } from "./chain.ts";
import type { RingFaultCode } from "./ring-fault.ts";

/** Bytes of a descriptor, in the ring and in an indirect table. */
export const DESCRIPTOR_BYTES = 16;

/** More descriptors follow. */
export const NEXT = 1;
/** For the device to write. */
export const WRITE = 2;
/** Points at a table of descriptors. */
export const INDIRECT = 4;

/** Entries that a table may have, however small its ring: a driver's segments don't depend on that. */
const MOST_TABLE_ENTRIES = 1024;
const HIGHEST_WORD = 2 ** 20;
const MOST_BYTES = 2 ** 32;

/** Which memory a fault is about. */
export interface WalkFault {
  readonly code: RingFaultCode;
  readonly value: number;
}

/** Turns descriptors into the pieces of a chain. */
export class ChainWalker {
  readonly #access: MemoryAccess;
  readonly #most: number;
  #limit = 0;
  #count = 0;
  #writing = false;
  /** Why the chain is bad. */
  fault: WalkFault | undefined;

  /**
   * @param access - with a cache of its own
   * @param most - descriptors that a chain in the ring may have: the queue's size. A table may have more (Linux makes such)
   */
  constructor(access: MemoryAccess, most: number) {
    this.#access = access;
    this.#most = most;
  }

  /** Begins a chain. @param limit - descriptors that it may have */
  begin(chain: Chain, limit: number = this.#most): void {
    chain.clear();
    this.#limit = limit;
    this.#count = 0;
    this.#writing = false;
    this.fault = undefined;
  }

  /** Adds what a descriptor points at. @returns false where the chain is bad */
  add(chain: Chain, low: number, high: number, length: number, flags: number): boolean {
    if (++this.#count > this.#limit) return this.#bad("chain-too-long", this.#count);
    const writable = (flags & WRITE) !== 0;
    if (!writable && this.#writing) return this.#bad("readable-after-writable", this.#count - 1);
    this.#writing = writable;
    if (length === 0) return this.#bad("zero-length", this.#count - 1);
    if (high >= HIGHEST_WORD) return this.#bad("bad-address", high * 2 ** 32 + low);
    if (chain.readableBytes + chain.writableBytes + length >= MOST_BYTES) return this.#bad("chain-too-large", length);
    const address = high * 2 ** 32 + low;
    const range = this.#access.find(address);
    if (range === undefined || address + length > range.end) return this.#addAcross(chain, address, length, writable);
    if (!this.#usable(range, address, writable)) return false;
    chain.add(range, address - range.start, length, writable);
    return true;
  }

  /** A buffer that is contiguous for the guest need not be so for us: it may span regions. */
  #addAcross(chain: Chain, address: number, length: number, writable: boolean): boolean {
    let done = 0;
    while (done < length) {
      const at = address + done;
      const range = this.#access.find(at);
      if (range === undefined) return this.#bad("unmapped", at);
      if (!this.#usable(range, at, writable)) return false;
      const n = Math.min(length - done, range.end - at);
      chain.add(range, at - range.start, n, writable);
      done += n;
    }
    return true;
  }

  #usable(range: FlatRange, at: number, writable: boolean): boolean {
    if (range.memory === undefined) return this.#bad(range.io ? "not-memory" : "elsewhere", at);
    if (writable && !range.writable) return this.#bad("read-only", at);
    return range.alive() || this.#bad("gone", at);
  }

  /**
   * Adds what an indirect table points at.
   *
   * @param linked - whether its entries are linked by `next` (split) or follow each other (packed)
   * @returns false where the chain is bad
   */
  addTable(chain: Chain, low: number, high: number, length: number, linked: boolean): boolean {
    const entries = length / DESCRIPTOR_BYTES;
    this.#limit = Math.max(this.#most, MOST_TABLE_ENTRIES);
    if (length === 0 || !Number.isInteger(entries) || entries > this.#limit) return this.#bad("indirect-length", length);
    const address = high * 2 ** 32 + low;
    if (high >= HIGHEST_WORD) return this.#bad("bad-address", address);
    const range = this.#access.find(address);
    if (range === undefined) return this.#bad("unmapped", address);
    if (!this.#usable(range, address, false)) return false;
    if (address + length <= range.end) return this.#walkTable(chain, range.data, address - range.start, entries, linked);
    const copy = new Uint8Array(length);
    if (this.#access.copyFrom(address as never, copy) > 0) return this.#bad("unmapped", address);
    return this.#walkTable(chain, new DataView(copy.buffer), 0, entries, linked);
  }

  #walkTable(chain: Chain, table: DataView, offset: number, entries: number, linked: boolean): boolean {
    let index = 0;
    for (let seen = 0; ; seen++) {
      if (seen >= entries) return linked ? this.#bad("chain-too-long", seen) : true;
      if (index >= entries) return this.#bad("next-out-of-range", index);
      const at = offset + index * DESCRIPTOR_BYTES;
      const low = table.getUint32(at, true);
      const high = table.getUint32(at + 4, true);
      const length = table.getUint32(at + 8, true);
      const last = table.getUint32(at + 12, true);
      // Packed: flags follow the id. Split: next follows the flags.
      const flags = linked ? last & 0xffff : last >>> 16;
      if ((flags & INDIRECT) !== 0) return this.#bad("indirect-nested", index);
      if (!this.add(chain, low, high, length, flags)) return false;
      if (!linked) index++;
      else if ((flags & NEXT) === 0) return true;
      else index = last >>> 16;
    }
  }

  /** Says why the chain is bad. @returns false */
  bad(code: RingFaultCode, value: number): false {
    return this.#bad(code, value);
  }

  #bad(code: RingFaultCode, value: number): false {
    this.fault = { code, value };
    return false;
  }
}
