/** Finds what is not zero in a memory, without touching more than it must. @module */
import { PAGE_SIZE } from "../address/addresses.ts";
import type { MemoryExtent, MemoryProvider } from "../memory/memory-provider.ts";

/** Whether some bytes are all zero. */
export function allZero(bytes: Uint8Array): boolean {
  if (bytes.byteOffset % 4 !== 0 || bytes.length % 4 !== 0) return bytes.every((byte) => byte === 0);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let at = 0; at < words.length; at++) if (words[at] !== 0) return false;
  return true;
}

/** The pages of a memory that may hold something, in order, from the one with a given byte on. */
export function* populatedPages(memory: MemoryProvider, from = 0): Generator<MemoryExtent> {
  let done = Math.floor(from / PAGE_SIZE) * PAGE_SIZE;
  for (const { offset, length } of memory.populated() ?? [{ offset: 0, length: memory.size }]) {
    let at = Math.max(done, Math.floor(offset / PAGE_SIZE) * PAGE_SIZE);
    const end = Math.min(offset + length, memory.size);
    for (; at < end; at += PAGE_SIZE) yield { offset: at, length: Math.min(PAGE_SIZE, memory.size - at) };
    done = Math.max(done, at);
  }
}

/** Sets a part of a memory to zero; pages that are zero already are not written. */
export function clear(memory: MemoryProvider, from = 0, to: number = memory.size): void {
  for (const { offset, length } of populatedPages(memory, from)) {
    if (offset >= to) break;
    const page = memory.bytes().subarray(Math.max(offset, from), Math.min(offset + length, to));
    if (!allZero(page)) page.fill(0);
  }
}
