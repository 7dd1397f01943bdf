/** A structure of a guest's, copied out of its memory once: what the guest writes there later counts for nothing. @module */
import type { ErrnoName } from "../errno/errno.ts";
import type { VbusMemctx } from "./vbus-memctx.ts";

/** @returns the structure; `EINVAL` where the guest's word on its length is another; `EFAULT` where it is not in memory */
export function guestStruct(memctx: VbusMemctx, address: number, length: number, size: number): DataView | ErrnoName {
  if (length !== size) return "EINVAL";
  const bytes = new Uint8Array(size);
  return memctx.copyFrom(bytes, address) === 0 ? new DataView(bytes.buffer) : "EFAULT";
}

/** A number of 64 bits: one past all addresses where it is larger than any. */
export function quadAt(data: DataView, offset: number): number {
  return data.getUint32(offset, true) + data.getUint32(offset + 4, true) * 2 ** 32;
}
