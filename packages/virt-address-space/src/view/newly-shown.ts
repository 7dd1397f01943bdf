/** What a new view shows that the one before did not. @module */
import type { FlatRange } from "./flat-range.ts";
import type { FlatView } from "./flat-view.ts";
import type { SpaceMemory } from "./space-memory.ts";

/** A part of a memory. */
export interface ShownPart {
  readonly memory: SpaceMemory;
  /** Bytes from the start of the memory. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * The parts of memory that show at addresses where something else showed before, or nothing: to a client that copies by
 * address they are new, whatever was last written to them.
 */
export function newlyShown(before: FlatView, after: FlatView): ShownPart[] {
  const parts: ShownPart[] = [];
  for (const range of after.ranges) {
    const { memory } = range;
    if (memory === undefined) continue;
    let at: number = range.start;
    for (let i = before.indexFrom(at); i < before.ranges.length && at < range.end; i++) {
      const old = before.ranges[i] as FlatRange;
      if (old.start >= range.end) break;
      if (old.memory !== memory || old.offset - old.start !== range.offset - range.start) continue;
      if (old.start > at) parts.push({ memory, offset: range.offset + (at - range.start), length: old.start - at });
      at = Math.max(at, old.end);
    }
    if (at < range.end) parts.push({ memory, offset: range.offset + (at - range.start), length: range.end - at });
  }
  return parts;
}
