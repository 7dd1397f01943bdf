/**
 * The table of buffers in flight of a packed ring in use. It keeps the descriptors of each, which used buffers overwrite in the ring,
 * and where the ring stands, which nothing else says.
 *
 * @module
 */
import type { Chain, QueueJournal, QueueState } from "@virtspace/virtio";
import { foundNothing, recover, slotsOf } from "./packed-recovery.ts";
import { behind, bufferOf, descriptorsOf, numberOf, offeredFlags, type Place, placeOf, wasUsed } from "./packed-ring.ts";
import {
  ADDRESS_AT,
  BASE_AT,
  BASE_KNOWN,
  COUNTER_AT,
  entry,
  FREE_AT,
  ID_AT,
  LAST_AT,
  LENGTH_AT,
  NEXT_AT,
  OLD_FREE_AT,
  readBuffer,
  SIZE_AT,
  SLOTS_AT,
  setShowing,
  setShown,
  USED_AT,
  WRAP_AT,
} from "./packed-table.ts";
import { copyOf, type OpenTable, type RingPosition, setUint53, VERSION, VERSION_AT, voidTable } from "./ring-position.ts";

const NONE = -1;

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
 * @param base - the ring's position as the front-end knows it: VRING_BASE's number
 */
export function openPackedTable(table: DataView, size: number, ring: PackedRing, state: QueueState, base: number): OpenTable {
  const copy = copyOf(table);
  const found = recover(copy, size, ring.copy, { available: placeOf(base), used: placeOf(base >>> 16) });
  if (found === undefined) {
    voidTable(table);
    table.setUint16(SIZE_AT, size, true);
  }
  const { used, buffers, passed, ahead } = found ?? foundNothing(placeOf(state.used));
  // What stays has new numbers first, in the same order: a process that dies on the way leaves a table that says the same.
  for (const [i, [head]] of buffers.entries()) setUint53(table, entry(head as number) + COUNTER_AT, i);
  const heads = new Set(buffers.map(([head]) => head));
  for (let index = 0; index < size; index++) if (!heads.has(index)) table.setUint8(entry(index), 0);
  setShowing(table, used);
  setShown(table, used);
  const known = buffers.map((indices) => readBuffer(copy, indices));
  const journal = new PackedJournal(table, size, new Map(known.map(({ id }, i) => [id, buffers[i] as readonly number[]])));
  for (const buffer of ahead) journal.took(buffer, buffer.words, 0);
  const first = behind(used, slotsOf(buffers.slice(0, passed)), size);
  const inFlight = [...known.slice(passed), ...ahead.map(({ id, words }) => bufferOf(id, descriptorsOf(words)))];
  const slots = inFlight.reduce((sum, each) => sum + each.slots, 0);
  if (found !== undefined) hideUsed(ring, size, first, slots);
  for (const buffer of known.slice(0, passed)) journal.used(buffer);
  journal.showing({ used: numberOf(first) });
  // From here on who comes after knows of what was passed as of a batch that was shown and not cleared.
  tellBase(table, base);
  journal.shown();
  table.setUint16(VERSION_AT, VERSION, true);
  if (found === undefined) return { journal, state };
  return { journal, state: { available: numberOf(behind(first, slots, size)), used: numberOf(first), inFlight } };
}

/** Writes down what the front-end knows of the ring's position. */
export const tellBase = (table: DataView, base: number): void => table.setUint32(BASE_AT, (base & 0xffff) | BASE_KNOWN, true);

/**
 * Takes back what is used behind the first used descriptor that the driver has not been shown: with that one it would see it. A
 * process wrote it that died before it showed its batch, or the front-end did.
 */
function hideUsed({ copy, setFlags }: PackedRing, size: number, first: Place, slots: number): void {
  for (let i = 0; i < slots; i++) {
    const place = behind(first, i, size);
    if (wasUsed(copy, place)) setFlags(place.at, offeredFlags(place));
  }
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

  took({ id, slots }: Pick<Chain, "id" | "slots">, words: Uint32Array, at: number): void {
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

  used({ id }: Pick<Chain, "id">): void {
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

  showing({ used }: Pick<RingPosition, "used">): void {
    if (!this.#used) return;
    for (const head of this.#batch) {
      this.#giveBack(head, this.#free);
      this.#free = head;
    }
    this.#table.setUint16(FREE_AT, this.#free, true);
    setShowing(this.#table, placeOf(used));
  }

  shown(): void {
    if (!this.#used) return;
    this.#used = false;
    const table = this.#table;
    for (const head of this.#batch) table.setUint8(entry(head), 0);
    table.setUint16(OLD_FREE_AT, this.#free, true);
    setShown(table, { at: table.getUint16(USED_AT, true), wrap: table.getUint8(WRAP_AT) });
    this.#batch.length = 0;
  }
}
