/**
 * The table of buffers in flight of a packed ring. It keeps the descriptors of each, which used buffers overwrite in the ring, and
 * where the ring stands, which nothing else says.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Inflight I/O tracking"
 * @module
 */
import type { Chain, JournalledBuffer, QueueJournal, QueueState, RingDescriptor } from "@virtspace/virtio";
import { copyOf, type OpenTable, type RingPosition, setUint53, VERSION, VERSION_AT, voidTable } from "./ring-position.ts";

const HEAD_BYTES = 32;
const SIZE_AT = 10;
const FREE_AT = 12;
const OLD_FREE_AT = 14;
const USED_AT = 16;
const OLD_USED_AT = 18;
const WRAP_AT = 20;
const OLD_WRAP_AT = 21;
const ENTRY_BYTES = 32;
const NEXT_AT = 2;
const LAST_AT = 4;
const SLOTS_AT = 6;
const COUNTER_AT = 8;
const ID_AT = 16;
const FLAGS_AT = 18;
const LENGTH_AT = 20;
const ADDRESS_AT = 24;

const RING_DESCRIPTOR_BYTES = 16;
const RING_FLAGS_AT = 14;
const AVAIL = 1 << 7;
const USED = 1 << 15;

const NONE = -1;

const entry = (index: number): number => HEAD_BYTES + ENTRY_BYTES * index;

/** Bytes of a table. */
export const packedTableBytes = (size: number): number => entry(size);

interface Found {
  readonly used: number;
  readonly wrap: number;
  /** The entries of each buffer in flight, in the order in which they were taken. */
  readonly buffers: readonly (readonly number[])[];
}

/** The ring that a table is about. */
export interface PackedRing {
  /** A copy of its descriptors. */
  readonly copy: DataView;
  /** Sets the flags of a descriptor that is the device's. */
  setFlags(at: number, flags: number): void;
}

/**
 * Takes a table into use: what it says of the ring holds, unless it is not about this ring.
 *
 * @param state - where the ring stands as far as this process and the front-end know. What is in flight by that alone is not
 * written: it need not have as many descriptors as it had in the ring
 */
export function openPackedTable(table: DataView, size: number, ring: PackedRing, state: QueueState): OpenTable {
  const copy = copyOf(table);
  const found = recover(copy, size, ring.copy);
  if (found === undefined) {
    voidTable(table);
    table.setUint16(SIZE_AT, size, true);
  }
  const { used, wrap, buffers } = found ?? { used: state.used & 0x7fff, wrap: state.used >>> 15, buffers: [] };
  // What stays has new numbers first, in the same order: a process that dies on the way leaves a table that says the same.
  for (const [i, [head]] of buffers.entries()) setUint53(table, entry(head as number) + COUNTER_AT, i);
  const heads = new Set(buffers.map(([head]) => head));
  for (let index = 0; index < size; index++) if (!heads.has(index)) table.setUint8(entry(index), 0);
  setShowing(table, used, wrap);
  setShown(table, used, wrap);
  if (found !== undefined) hideUsed(ring, size, found);
  const inFlight = buffers.map((indices) => bufferOf(copy, indices));
  const journal = new PackedJournal(table, size, new Map(inFlight.map(({ id }, i) => [id, buffers[i] as readonly number[]])));
  table.setUint16(VERSION_AT, VERSION, true);
  return { journal, state: found === undefined ? state : { ...positionOf(found, size), inFlight } };
}

/** @returns undefined where the table is another ring's */
function recover(table: DataView, size: number, ring: DataView): Found | undefined {
  if (table.getUint16(VERSION_AT, true) !== VERSION || table.getUint16(SIZE_AT, true) !== size) return undefined;
  const old = { used: table.getUint16(OLD_USED_AT, true), wrap: table.getUint8(OLD_WRAP_AT) };
  const now = { used: table.getUint16(USED_AT, true), wrap: table.getUint8(WRAP_AT) };
  for (const { used, wrap } of [old, now]) if (used >= size || wrap > 1) return undefined;
  const buffers = new Map<number, readonly number[]>();
  for (let head = 0; head < size; head++) {
    if (table.getUint8(entry(head)) !== 1) continue;
    const indices = entriesOf(table, size, head);
    if (indices === undefined) return undefined;
    buffers.set(head, indices);
  }
  const differs = old.used !== now.used || old.wrap !== now.wrap;
  const shown = differs && wasUsed(ring, old.used) === old.wrap;
  // The driver was shown a batch whose entries nobody came to clear.
  if (shown && !dropBatch(table, size, buffers)) return undefined;
  const all = [...buffers.values()].flat();
  if (new Set(all).size !== all.length) return undefined;
  const counter = ([head]: readonly number[]): bigint => table.getBigUint64(entry(head as number) + COUNTER_AT, true);
  const found = { ...(shown ? now : old), buffers: [...buffers.values()].sort((a, b) => Number(counter(a) - counter(b))) };
  return isFresh(ring) && !isBegun(table, ring, found) ? undefined : found;
}

/** A ring in which nothing was ever used: its driver may have begun anew. */
function isFresh(ring: DataView): boolean {
  for (let at = 0; at < ring.byteLength / RING_DESCRIPTOR_BYTES; at++) if (wasUsed(ring, at) === 1) return false;
  return true;
}

/** Whether the buffers are the first of the ring. A device overwrites lengths and ids there before it shows that, but no addresses. */
function isBegun(table: DataView, ring: DataView, { used, wrap, buffers }: Found): boolean {
  if (used !== 0 || wrap !== 1) return false;
  return buffers.flat().every((index, at) => {
    const inRing = RING_DESCRIPTOR_BYTES * at;
    return inRing < ring.byteLength && ring.getBigUint64(inRing, true) === table.getBigUint64(entry(index) + ADDRESS_AT, true);
  });
}

function wasUsed(ring: DataView, at: number): number {
  return (ring.getUint16(RING_DESCRIPTOR_BYTES * at + RING_FLAGS_AT, true) & USED) === 0 ? 0 : 1;
}

function entriesOf(table: DataView, size: number, head: number): readonly number[] | undefined {
  const slots = table.getUint16(entry(head) + SLOTS_AT, true);
  const indices: number[] = [];
  for (let index = head; indices.length < slots; index = table.getUint16(entry(index) + NEXT_AT, true)) {
    if (index >= size || slots > size) return undefined;
    indices.push(index);
  }
  return slots > 0 ? indices : undefined;
}

/** Takes the batch out of what is in flight: it is the list of free entries up to where that began before. */
function dropBatch(table: DataView, size: number, buffers: Map<number, unknown>): boolean {
  const end = table.getUint16(OLD_FREE_AT, true);
  let head = table.getUint16(FREE_AT, true);
  for (let count = 0; head !== end; count++) {
    if (head >= size || count === size) return false;
    buffers.delete(head);
    const last = table.getUint16(entry(head) + LAST_AT, true);
    if (last >= size) return false;
    head = table.getUint16(entry(last) + NEXT_AT, true);
  }
  return true;
}

function bufferOf(table: DataView, indices: readonly number[]): JournalledBuffer {
  const last = entry(indices.at(-1) as number);
  return {
    id: table.getUint16(last + ID_AT, true),
    slots: indices.length,
    descriptors: indices.map((index) => descriptorOf(table, index)),
  };
}

function descriptorOf(table: DataView, index: number): RingDescriptor {
  const at = entry(index);
  const address = table.getUint32(at + ADDRESS_AT, true) + table.getUint32(at + ADDRESS_AT + 4, true) * 2 ** 32;
  return [address, table.getUint32(at + LENGTH_AT, true), table.getUint16(at + FLAGS_AT, true)];
}

function positionOf({ used, wrap, buffers }: Found, size: number): RingPosition {
  const next = used + buffers.flat().length;
  const available = next < size ? next | (wrap << 15) : (next - size) | ((wrap ^ 1) << 15);
  return { available, used: used | (wrap << 15) };
}

/**
 * Takes back what a process wrote behind the first used descriptor of a batch that it never showed: with the next batch the driver
 * would see it.
 */
function hideUsed({ copy, setFlags }: PackedRing, size: number, { used, wrap, buffers }: Found): void {
  const slots = buffers.flat().length;
  for (let i = 0; i < slots; i++) {
    const at = (used + i) % size;
    const lap = used + i < size ? wrap : wrap ^ 1;
    if (wasUsed(copy, at) === lap) setFlags(at, lap === 1 ? AVAIL : USED);
  }
}

function setShowing(table: DataView, used: number, wrap: number): void {
  table.setUint16(USED_AT, used, true);
  table.setUint8(WRAP_AT, wrap);
}

/** In one store, as half of it would say another place. */
function setShown(table: DataView, used: number, wrap: number): void {
  table.setUint32(OLD_USED_AT, used | (wrap << 16) | (wrap << 24), true);
}

class PackedJournal implements QueueJournal {
  readonly #table: DataView;
  readonly #size: number;
  /** The list of free entries, which ends where no entry is, and its first. The table has it too, for who comes after. */
  readonly #next: Uint16Array;
  #free: number;
  #left = 0;
  /** The entries of each buffer by the first one: the last, and how many. */
  readonly #last: Uint16Array;
  readonly #slots: Uint16Array;
  /** The first entry of each buffer, by the buffer's id; {@link NONE} where it has none. */
  readonly #heads: number[] = [];
  #counter: number;
  /** The first entries of what was used and not shown; and whether anything was, as not all of it need have entries. */
  readonly #batch: number[] = [];
  #used = false;

  constructor(table: DataView, size: number, buffers: ReadonlyMap<number, readonly number[]>) {
    this.#table = table;
    this.#size = size;
    this.#free = size;
    this.#next = new Uint16Array(size);
    this.#last = new Uint16Array(size);
    this.#slots = new Uint16Array(size);
    this.#counter = buffers.size;
    const taken = new Set<number>();
    for (const [id, indices] of buffers) {
      const head = indices[0] as number;
      this.#heads[id] = head;
      this.#last[head] = indices.at(-1) as number;
      this.#slots[head] = indices.length;
      for (const [i, index] of indices.entries()) {
        taken.add(index);
        this.#next[index] = indices[i + 1] ?? 0;
      }
    }
    for (let index = size - 1; index >= 0; index--) {
      if (taken.has(index)) continue;
      this.#link(index, this.#free);
      this.#free = index;
      this.#left++;
    }
    this.#setFree(this.#free);
  }

  #link(index: number, next: number): void {
    this.#next[index] = next;
    this.#table.setUint16(entry(index) + NEXT_AT, next, true);
  }

  #setFree(index: number): void {
    this.#free = index;
    this.#table.setUint16(FREE_AT, index, true);
    this.#table.setUint16(OLD_FREE_AT, index, true);
  }

  took({ id, slots }: Chain, words: Uint32Array, at: number): void {
    // A driver that makes more available than its ring has gets no entry for it: nobody can go on with such a ring.
    if (slots > this.#left) return;
    const table = this.#table;
    const head = this.#free;
    let index = head;
    let last = head;
    for (let i = 0; i < slots; i++) {
      last = index;
      this.#copy(index, words, 4 * ((at + i) % this.#size));
      index = this.#next[index] as number;
    }
    this.#last[head] = last;
    this.#slots[head] = slots;
    this.#left -= slots;
    this.#heads[id] = head;
    const place = entry(head);
    table.setUint16(place + LAST_AT, last, true);
    table.setUint16(place + SLOTS_AT, slots, true);
    setUint53(table, place + COUNTER_AT, this.#counter++);
    table.setUint8(place, 1);
    this.#setFree(index);
  }

  #copy(index: number, words: Uint32Array, from: number): void {
    const table = this.#table;
    const place = entry(index);
    table.setUint32(place + ADDRESS_AT, words[from] as number, true);
    table.setUint32(place + ADDRESS_AT + 4, words[from + 1] as number, true);
    table.setUint32(place + LENGTH_AT, words[from + 2] as number, true);
    // The id, then the flags, as in the ring.
    table.setUint32(place + ID_AT, words[from + 3] as number, true);
  }

  untook({ id }: Chain): void {
    const head = this.#forget(id);
    if (head === NONE) return;
    this.#table.setUint8(entry(head), 0);
    this.#giveBack(head, this.#free);
    this.#setFree(head);
  }

  /** Puts a buffer's entries before the free ones. */
  #giveBack(head: number, free: number): void {
    this.#link(this.#last[head] as number, free);
    this.#left += this.#slots[head] as number;
  }

  used({ id }: Chain): void {
    this.#used = true;
    const head = this.#forget(id);
    if (head !== NONE) this.#batch.push(head);
  }

  /** @returns the first entry that a buffer had */
  #forget(id: number): number {
    const head = this.#heads[id] ?? NONE;
    this.#heads[id] = NONE;
    return head;
  }

  showing({ used }: RingPosition): void {
    if (!this.#used) return;
    for (const head of this.#batch) {
      this.#giveBack(head, this.#free);
      this.#free = head;
    }
    this.#table.setUint16(FREE_AT, this.#free, true);
    setShowing(this.#table, used & 0x7fff, used >>> 15);
  }

  shown(): void {
    if (!this.#used) return;
    this.#used = false;
    const table = this.#table;
    for (const head of this.#batch) table.setUint8(entry(head), 0);
    table.setUint16(OLD_FREE_AT, this.#free, true);
    setShown(table, table.getUint16(USED_AT, true), table.getUint8(WRAP_AT));
    this.#batch.length = 0;
  }
}
