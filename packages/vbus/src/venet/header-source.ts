/** Where a guest's headers are: at an address each, or in a pool that was mapped beforehand, by their offsets. @module */
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";

/** Reads and writes headers; where they are is the guest's word. */
export interface HeaderSource {
  /** @returns whether all of it could be read */
  read(bytes: Uint8Array, at: number): boolean;
  /** @returns whether all of it could be written */
  write(at: number, bytes: Uint8Array): boolean;
}

/** Headers at addresses. */
export function headersIn(memctx: VbusMemctx): HeaderSource {
  return {
    read: (bytes, at) => memctx.copyFrom(bytes, at) === 0,
    write: (at, bytes) => memctx.copyTo(at, bytes) === 0,
  };
}

/** Headers in a pool. */
export function headersInPool({ window }: VbusShm): HeaderSource {
  const has = (at: number, length: number): boolean => at + length <= window.u8.length;
  return {
    read: (bytes, at) => {
      if (!has(at, bytes.length)) return false;
      const { u8 } = window;
      for (let i = 0; i < bytes.length; i++) bytes[i] = u8[at + i] as number;
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
