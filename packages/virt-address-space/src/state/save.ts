/** Saves a space: its map, and those pages that are not zero. @module */

import { PAGE_SIZE } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { SpaceCore } from "../map/space-core.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { Region } from "../region/region.ts";
import { DATA_HEAD, MAX_DATA, MAX_MAP, RecordType, RecordWriter, type SavedMap, type SavedRegion, toAscii } from "./state-format.ts";
import { allZero, populatedPages } from "./zero-pages.ts";

/** The map of a space, and the memories that it counts. */
export function savedMap(core: SpaceCore): { readonly map: SavedMap; readonly memories: readonly MemoryProvider[] } {
  const regions = [...core.regions.keys()];
  const memories = Array.from(core.memories, ({ provider }) => provider);
  const indexOf = new Map(regions.map((region, index) => [region, index]));
  const map: SavedMap = {
    name: core.name,
    size: core.size,
    generation: core.view.generation,
    memories: memories.map(({ size }) => size),
    regions: regions.map((region) => savedRegion(region, core, memories, indexOf)),
  };
  return { map, memories };
}

function savedRegion(
  region: Region,
  core: SpaceCore,
  memories: readonly MemoryProvider[],
  indexOf: ReadonlyMap<Region, number>,
): SavedRegion {
  const { name, kind, size, priority, offset, readOnly, memory, target } = region;
  if (memory === undefined && (kind === "ram" || kind === "rom")) {
    throw new VirtAddressSpaceError("elsewhere", `region "${name}" lives in another thread: save the space in its owner's thread`, {
      region: name,
    });
  }
  return {
    name,
    kind,
    base: core.regions.get(region) as number,
    size,
    priority,
    offset,
    readOnly,
    memory: memory && memories.indexOf(memory),
    target: target && indexOf.get(target),
  };
}

/** The chunks of a saved space, made as they are asked for. */
export function* save(core: SpaceCore): Generator<Uint8Array, void> {
  const { map, memories } = savedMap(core);
  const references = memories.map((memory) => memory.retain());
  try {
    const writer = new RecordWriter();
    yield writer.header();
    const text = toAscii(map);
    if (text.length > MAX_MAP) {
      throw new VirtAddressSpaceError(
        "invalid-argument",
        `the map of "${map.name}" is too large to be saved: it has ${map.regions.length} regions`,
      );
    }
    yield writer.record(RecordType.map, text.length, (payload) => payload.set(text));
    for (const [index, memory] of memories.entries()) yield* saveMemory(writer, index, memory);
    yield writer.record(RecordType.end, 0, () => {});
  } finally {
    for (const reference of references) reference[Symbol.dispose]();
  }
}

function* saveMemory(writer: RecordWriter, index: number, memory: MemoryProvider): Generator<Uint8Array, void> {
  let from = 0;
  let end = 0;
  const flush = (): Uint8Array => dataRecord(writer, index, memory, from, end);
  for (const { offset, length } of populatedPages(memory)) {
    const bytes = memory.bytes();
    if (bytes.length === 0) throw gone(memory);
    if (allZero(bytes.subarray(offset, offset + length))) continue;
    if (end > from && (offset !== end || end - from + PAGE_SIZE > MAX_DATA)) {
      yield flush();
      from = offset;
    } else if (end === from) {
      from = offset;
    }
    end = offset + length;
  }
  if (end > from) yield flush();
}

function dataRecord(writer: RecordWriter, index: number, memory: MemoryProvider, from: number, end: number): Uint8Array {
  const bytes = memory.bytes();
  if (bytes.length === 0) throw gone(memory);
  return writer.record(RecordType.data, DATA_HEAD + end - from, (payload, view) => {
    view.setUint32(0, index, true);
    view.setUint32(4, from >>> 0, true);
    view.setUint32(8, Math.floor(from / 2 ** 32), true);
    payload.set(bytes.subarray(from, end), DATA_HEAD);
  });
}

function gone(memory: MemoryProvider): VirtAddressSpaceError {
  return new VirtAddressSpaceError("gone", `the ${memory.kind} memory lost its bytes while it was being saved`);
}
