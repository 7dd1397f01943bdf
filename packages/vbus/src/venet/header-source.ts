/** Where a guest's headers are: at an address each, or in a pool that was mapped beforehand, by their offsets. @module */
import { type ByteViews, copyViews } from "@virtspace/virt-address-space";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";

/** Reads and writes headers; where they are is the guest's word. */
export interface HeaderSource {
  /** Copies one's first bytes out, once. @returns whether all of them could be read */
  read(header: ByteViews, at: number, length: number): boolean;
  /** @returns whether all of it could be written */
  write(at: number, bytes: Uint8Array): boolean;
}

/** Headers at addresses. */
export function headersIn(memctx: VbusMemctx): HeaderSource {
  return {
    read: (header, at, length) => {
      const range = memctx.rangeOf(at, length);
      if (range === undefined) return memctx.copyFrom(header.bytes.subarray(0, length), at) === 0;
      copyViews(range, at - range.start, header, 0, length);
      return true;
    },
    write: (at, bytes) => memctx.copyTo(at, bytes) === 0,
  };
}

/** Headers in a pool. */
export function headersInPool({ window }: VbusShm): HeaderSource {
  const has = (at: number, length: number): boolean => at + length <= window.u8.length;
  return {
    read: ({ bytes }, at, length) => {
      if (!has(at, length)) return false;
      const { u8 } = window;
      for (let i = 0; i < length; i++) bytes[i] = u8[at + i] as number;
      return true;
    },
    write: (at, bytes) => {
      if (!has(at, bytes.length)) return false;
      window.u8.set(bytes, at);
      window.markDirty(at, bytes.length);
      return true;
    },
  };
}
