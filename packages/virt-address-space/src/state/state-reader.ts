/** Reads a saved space, trusting nothing of it. @module */
import { isAddress, MAX_ADDRESS } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { MAX_ALIAS_DEPTH } from "../region/region-content.ts";
import { crc32c } from "./crc32c.ts";
import {
  DATA_HEAD,
  damaged,
  fromAscii,
  HEADER_BYTES,
  MAGIC,
  MAX_DATA,
  MAX_MAP,
  RECORD_HEAD,
  RECORD_TAIL,
  RecordType,
  type SavedMap,
  type SavedRegion,
  STATE_VERSION,
} from "./state-format.ts";

/** What a saved space is read from: a generator, an array of chunks, a stream. */
export type StateSource = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A run of bytes of one memory. */
export interface SavedData {
  readonly memory: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Reads the map, then the data; it is intact only if `data()` came to its end without throwing. */
export class StateReader {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  #crc = 0;

  constructor(source: StateSource) {
    this.#chunks = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /**
   * Reads up to the map.
   *
   * @throws {@link VirtAddressSpaceError} `damaged-state`, `state-version`
   */
  async map(): Promise<SavedMap> {
    const header = await this.#read(HEADER_BYTES);
    if (MAGIC.some((byte, at) => header[at] !== byte)) throw damaged("it is no saved space");
    const version = new DataView(header.buffer, header.byteOffset).getUint32(MAGIC.length, true);
    if (version !== STATE_VERSION) {
      throw new VirtAddressSpaceError("state-version", `the saved state is of version ${version}, this package reads ${STATE_VERSION}`, {
        version,
      });
    }
    this.#crc = crc32c(header);
    const { type, payload } = await this.#record(MAX_MAP);
    if (type !== RecordType.map) throw damaged("it does not begin with a map");
    return parseMap(fromAscii(payload));
  }

  /**
   * Reads the runs of bytes.
   *
   * @throws {@link VirtAddressSpaceError} `damaged-state`
   */
  async *data(map: SavedMap): AsyncGenerator<SavedData, void> {
    let last = { memory: 0, end: 0 };
    for (;;) {
      const { type, payload } = await this.#record(DATA_HEAD + MAX_DATA);
      if (type === RecordType.end) break;
      if (type !== RecordType.data || payload.length <= DATA_HEAD) throw damaged("a record of no known kind");
      const view = new DataView(payload.buffer, payload.byteOffset);
      const memory = view.getUint32(0, true);
      const offset = view.getUint32(4, true) + view.getUint32(8, true) * 2 ** 32;
      const bytes = payload.subarray(DATA_HEAD);
      if (offset + bytes.length > (map.memories[memory] ?? 0)) throw damaged("data that lies outside its memory");
      // In order and without overlap: so there is no more of it than the memory holds.
      if (memory < last.memory || (memory === last.memory && offset < last.end)) throw damaged("data that is out of order");
      last = { memory, end: offset + bytes.length };
      yield { memory, offset, bytes };
    }
    if (this.#rest.length > 0 || (await this.#next()) !== undefined) throw damaged("there is something behind its end");
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #record(most: number): Promise<{ readonly type: number; readonly payload: Uint8Array }> {
    const head = await this.#read(RECORD_HEAD);
    const view = new DataView(head.buffer, head.byteOffset);
    const type = view.getUint32(0, true);
    const length = view.getUint32(4, true);
    if (length > most) throw damaged("a record that is too long");
    const body = await this.#read(length + RECORD_TAIL);
    const payload = body.subarray(0, length);
    this.#crc = crc32c(payload, crc32c(head, this.#crc));
    const expected = new DataView(body.buffer, body.byteOffset + length).getUint32(0, true);
    if (this.#crc !== expected) throw damaged("a checksum does not fit");
    return { type, payload };
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const { done, value } = await this.#chunks.next();
      if (done === true) return undefined;
      if (value.length > 0) return value;
    }
  }

  async #read(length: number): Promise<Uint8Array> {
    if (this.#rest.length >= length) return this.#consume(this.#rest, length);
    const parts: Uint8Array[] = [this.#rest];
    let have = this.#rest.length;
    while (have < length) {
      const chunk = await this.#next();
      if (chunk === undefined) throw damaged("it ends too early");
      parts.push(chunk);
      have += chunk.length;
    }
    const joined = new Uint8Array(have);
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return this.#consume(joined, length);
  }

  #consume(bytes: Uint8Array, length: number): Uint8Array {
    this.#rest = bytes.subarray(length);
    return bytes.subarray(0, length);
  }
}

function parseMap(text: string): SavedMap {
  let map: SavedMap;
  try {
    map = JSON.parse(text) as SavedMap;
  } catch {
    throw damaged("its map is no JSON");
  }
  const { name, size, generation, memories, regions } = map ?? {};
  const sound =
    typeof name === "string" &&
    name !== "" &&
    isLength(size) &&
    Number.isSafeInteger(generation) &&
    generation >= 0 &&
    generation <= MAX_ADDRESS &&
    Array.isArray(memories) &&
    memories.every(isLength) &&
    Array.isArray(regions) &&
    regions.every((region, index) => isRegion(region, index, map)) &&
    // Nobody is made to provide memory that nothing shows.
    memories.every((_, index) => regions.some(({ memory }) => memory === index)) &&
    regions.every((_, index) => aliasDepth(regions, index) <= MAX_ALIAS_DEPTH);
  if (!sound) throw damaged("its map makes no sense");
  return map;
}

function aliasDepth(regions: readonly SavedRegion[], index: number): number {
  let depth = 0;
  for (let at = regions[index]?.target; at !== undefined && depth <= MAX_ALIAS_DEPTH; at = regions[at]?.target) depth++;
  return depth;
}

function isLength(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_ADDRESS + 1;
}

function isRegion(value: unknown, index: number, map: SavedMap): boolean {
  const { name, kind, base, size, priority, offset, readOnly, memory, target } = (value ?? {}) as Partial<SavedRegion>;
  if (typeof name !== "string" || !isAddress(base) || !isLength(size) || !isAddress(offset)) return false;
  if (!Number.isSafeInteger(priority) || typeof readOnly !== "boolean") return false;
  if (kind === "io") return true;
  if (kind === "alias") return isAddress(target) && target < index;
  return (kind === "ram" || kind === "rom") && isAddress(memory) && memory < map.memories.length;
}
