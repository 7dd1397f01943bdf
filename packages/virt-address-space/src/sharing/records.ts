/** Regions, memories and doorbells as records for other threads. @module */
import type { DirtyLog } from "../dirty/dirty-log.ts";
import type { Doorbell } from "../doorbell/doorbell.ts";
import type { SpaceCore } from "../map/space-core.ts";
import type { Region } from "../region/region.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import type { BitmapRecord, DoorbellRecord, MemoryRecord, RegionRecord } from "./protocol.ts";

/** A mapped region's record. */
export function regionRecord(core: SpaceCore, region: Region, proposed?: RegionRecord["proposed"]): RegionRecord {
  const { id, name, kind, size, priority, offset, readOnly, home } = region;
  const memory = region.memory && core.memoryOf(region.memory)?.id;
  // What is as usual is left out: a map may have many regions, and each field of each is sent by name.
  return {
    id,
    name,
    kind,
    base: region.base ?? 0,
    size,
    ...(priority !== 0 && { priority }),
    ...(offset !== 0 && { offset }),
    ...(readOnly && { readOnly }),
    ...(home !== 0 && { home }),
    ...(memory !== undefined && { memory }),
    ...(region.target !== undefined && { target: region.target.id }),
    ...(proposed !== undefined && { proposed }),
  };
}

/** A memory's record. */
export function memoryRecord({ id, provider }: SpaceMemory): MemoryRecord {
  const descriptor = provider.share();
  return { id, ...(descriptor !== undefined && { descriptor }) };
}

/** A doorbell's record. */
export function doorbellRecord(doorbell: Doorbell, proposed?: DoorbellRecord["proposed"]): DoorbellRecord {
  const { id, address, length, datamatch, notifier } = doorbell;
  return { id, address, length, datamatch, notifier: notifier.share(), proposed };
}

/** The bitmaps of all logs, memory by memory. */
export function bitmapRecords(core: SpaceCore, logs: ReadonlySet<DirtyLog>): BitmapRecord[] {
  return Array.from(core.memories, (memory) => ({
    memory: memory.id,
    buffers: Array.from(logs, (log) => log.bitmapOf(memory).buffer),
  }));
}
