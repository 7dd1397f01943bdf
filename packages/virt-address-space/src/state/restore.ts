/** Restores a saved space, as a new one or into one that stands. @module */
import { gpa } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { SpaceCore } from "../map/space-core.ts";
import type { Transaction } from "../map/transaction.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { IoHandler } from "../region/io-handler.ts";
import type { Region } from "../region/region.ts";
import { savedMap } from "./save.ts";
import { damaged, type SavedMap, type SavedRegion } from "./state-format.ts";
import { type SavedData, StateReader, type StateSource } from "./state-reader.ts";
import { clear } from "./zero-pages.ts";

/** What a restore asks its caller to provide; files hold neither code nor host memory. */
export interface RestoreParts {
  /** Makes the memory for regions of a saved space. What is wrong with the file later releases it. */
  readonly memory: (request: MemoryRequest) => MemoryProvider;
  /** Finds the handler of a saved I/O window. */
  readonly io?: (window: SavedRegion) => IoHandler | undefined;
}

/** Asks for the memory that some saved regions share. */
export interface MemoryRequest {
  /** Bytes. */
  readonly size: number;
  /** The regions that show it. */
  readonly regions: readonly SavedRegion[];
}

/** Memory that was read from a file, and the way to map it. */
export interface RestoredParts {
  readonly map: SavedMap;
  /** Maps everything as it was saved. */
  populate(transaction: Transaction): void;
  /** Lets go of the memory: what was mapped stays. */
  release(): void;
}

/**
 * Reads a saved space into fresh memory.
 *
 * @throws {@link VirtAddressSpaceError} `damaged-state`, `state-version`, `missing-memory`, `missing-handler`; the memory
 *   that was made has been released
 */
export async function readState(source: StateSource, parts: RestoreParts): Promise<RestoredParts> {
  const reader = new StateReader(source);
  const references: Disposable[] = [];
  const release = (): void => {
    for (const reference of references) reference[Symbol.dispose]();
  };
  try {
    const map = await reader.map();
    const handlers = findHandlers(map, parts);
    const memories = map.memories.map((size, index) => {
      const memory = parts.memory({ size, regions: map.regions.filter((region) => region.memory === index) });
      if (memory?.released === false) references.push(memory.retain());
      if (memory?.size !== size) {
        throw new VirtAddressSpaceError(
          "missing-memory",
          `the restore was given ${memory?.size ?? "no"} bytes of memory where ${size} were asked for: return memory of just that size from restore's memory option`,
        );
      }
      return memory;
    });
    // Data comes in order, so what lies between is zero: it is cleared on the way, and not before the file has held so far.
    let [at, done] = [0, 0];
    const clearUpTo = (memory: number, offset: number): void => {
      for (; at < memory; at++, done = 0) clear(memories[at] as MemoryProvider, done);
      if (offset > done) clear(memories[at] as MemoryProvider, done, offset);
    };
    for await (const data of reader.data(map)) {
      clearUpTo(data.memory, data.offset);
      write(memories, data);
      done = data.offset + data.bytes.length;
    }
    clearUpTo(memories.length, 0);
    return { map, populate: (transaction) => populate(transaction, map, memories, handlers), release };
  } catch (error) {
    release();
    throw error;
  } finally {
    await reader.close();
  }
}

/**
 * Reads a saved space into one that stands and has the same map: all of its bytes, or none.
 *
 * @throws {@link VirtAddressSpaceError} `damaged-state`, `state-version`, `state-mismatch`
 */
export async function loadState(source: StateSource, core: SpaceCore): Promise<void> {
  const reader = new StateReader(source);
  try {
    const map = await reader.map();
    requireSame(map, savedMap(core).map);
    const staged: SavedData[] = [];
    for await (const { memory, offset, bytes } of reader.data(map)) staged.push({ memory, offset, bytes: bytes.slice() });
    // The map may have changed while the file was read.
    const { map: now, memories } = savedMap(core);
    requireSame(map, now);
    // All of it is there before any of it changes.
    for (const memory of memories) requireBytes(memory);
    for (const memory of memories) clear(memory);
    for (const data of staged) write(memories, data);
    for (const memory of core.memories) if (memory.tracked) memory.wrote(0, memory.provider.size);
  } finally {
    await reader.close();
  }
}

function requireBytes(memory: MemoryProvider): Uint8Array {
  const bytes = memory.bytes();
  if (bytes.length === memory.size) return bytes;
  throw new VirtAddressSpaceError(
    "gone",
    `the ${memory.kind} memory has no bytes now: its provider was released, or its engine is about to replace it`,
  );
}

function requireSame(saved: SavedMap, current: SavedMap): void {
  const shape = ({ size, memories, regions }: SavedMap): string => JSON.stringify({ size, memories, regions });
  if (shape(saved) === shape(current)) return;
  throw new VirtAddressSpaceError(
    "state-mismatch",
    `the map of "${current.name}" is not the one that was saved: map the same regions first, or restore into a new space`,
    { saved: saved.regions.map(({ name }) => name), current: current.regions.map(({ name }) => name) },
  );
}

function findHandlers(map: SavedMap, parts: RestoreParts): ReadonlyMap<SavedRegion, IoHandler> {
  const handlers = new Map<SavedRegion, IoHandler>();
  for (const region of map.regions) {
    if (region.kind !== "io") continue;
    const handler = parts.io?.(region);
    if (handler === undefined) {
      throw new VirtAddressSpaceError(
        "missing-handler",
        `the saved I/O window "${region.name}" needs a handler: return it from restore's io option`,
        {
          region: region.name,
        },
      );
    }
    handlers.set(region, handler);
  }
  return handlers;
}

function write(memories: readonly MemoryProvider[], { memory, offset, bytes }: SavedData): void {
  requireBytes(memories[memory] as MemoryProvider).set(bytes, offset);
}

function populate(
  transaction: Transaction,
  map: SavedMap,
  memories: readonly MemoryProvider[],
  handlers: ReadonlyMap<SavedRegion, IoHandler>,
): void {
  const regions: Region[] = [];
  for (const saved of map.regions) {
    const { name, priority, size, offset, kind, readOnly } = saved;
    const place = { name, priority, size, base: gpa(saved.base) };
    try {
      if (kind === "io") {
        regions.push(transaction.map({ ...place, kind, handler: handlers.get(saved) as IoHandler }));
      } else if (kind === "alias") {
        regions.push(transaction.map({ ...place, kind, offset, readOnly, target: regions[saved.target as number] as Region }));
      } else {
        regions.push(transaction.map({ ...place, kind, offset, memory: memories[saved.memory as number] as MemoryProvider }));
      }
    } catch (cause) {
      throw damaged(`region "${name}" can't be mapped (${(cause as Error).message})`);
    }
  }
}
