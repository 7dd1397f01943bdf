/** Where a guest has memory, as it is told by a boot loader. @module */
import type { VirtAddressSpace } from "@virtspace/virt-address-space";

/** A piece of memory. */
export interface MemoryPiece {
  readonly start: number;
  readonly size: number;
}

/** Memory that the guest can write, in the order of its addresses; what touches is one piece. */
export function writableMemory(space: VirtAddressSpace): MemoryPiece[] {
  const pieces: { start: number; size: number }[] = [];
  for (const { start, size, writable, memory } of space.view().ranges) {
    if (!writable || memory === undefined) continue;
    const last = pieces.at(-1);
    if (last !== undefined && last.start + last.size === start) last.size += size;
    else pieces.push({ start, size });
  }
  return pieces;
}
