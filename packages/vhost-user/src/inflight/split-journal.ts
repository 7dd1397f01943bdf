/**
 * The table of buffers in flight of a split ring: an entry for each head, and the batch that was shown last as a list.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Inflight I/O tracking"
 * @module
 */
import type { Chain, QueueJournal, QueueState } from "@virtspace/virtio";
import { copyOf, type OpenTable, type RingPosition, setUint53, VERSION, VERSION_AT, voidTable } from "./ring-position.ts";

const HEAD_BYTES = 16;
const SIZE_AT = 10;
const LAST_BATCH_HEAD_AT = 12;
const USED_AT = 14;
const ENTRY_BYTES = 16;
const NEXT_AT = 6;
const COUNTER_AT = 8;

const entry = (head: number): number => HEAD_BYTES + ENTRY_BYTES * head;

/** Bytes of a table. */
export const splitTableBytes = (size: number): number => entry(size);

/**
 * Takes a table into use: what it says of the ring holds, unless it is not about this ring.
 *
 * @param state - where the ring stands as far as this process and the front-end know, and how far the driver was shown used buffers
 * @param shownHead - which buffer an entry of the used ring gives back
 */
export function openSplitTable(table: DataView, size: number, state: QueueState, shownHead: (entry: number) => number): OpenTable {
  const found = recover(copyOf(table), size, state, shownHead);
  if (found === undefined) begin(table, size);
  const heads = found ?? state.inFlight.map(({ id }) => id);
  // What stays has new numbers first, in the same order: a process that dies here leaves a table that says the same.
  for (const [i, head] of heads.entries()) setUint53(table, entry(head) + COUNTER_AT, i);
  const left = new Set(heads);
  for (let head = 0; head < size; head++) table.setUint8(entry(head), left.has(head) ? 1 : 0);
  table.setUint16(USED_AT, state.used, true);
  table.setUint16(VERSION_AT, VERSION, true);
  const journal = new SplitJournal(table, heads.length);
  if (found === undefined) return { journal, state };
  const available = (state.used + heads.length) & 0xffff;
  return { journal, state: { available, used: state.used, inFlight: heads.map((id) => ({ id, slots: 1, descriptors: [] })) } };
}

function begin(table: DataView, size: number): void {
  voidTable(table);
  table.setUint16(SIZE_AT, size, true);
}

/** @returns the heads in flight in their order; undefined where the table is another ring's */
function recover(
  table: DataView,
  size: number,
  { available, used }: RingPosition,
  shownHead: (entry: number) => number,
): readonly number[] | undefined {
  if (table.getUint16(VERSION_AT, true) !== VERSION || table.getUint16(SIZE_AT, true) !== size) return undefined;
  const counters = new Map<number, bigint>();
  for (let head = 0; head < size; head++) {
    if (table.getUint8(entry(head)) === 1) counters.set(head, table.getBigUint64(entry(head) + COUNTER_AT, true));
  }
  // What the driver was shown and nobody came to clear: a batch of who died, and what a front-end gave back that served the ring
  // while nobody else did, as QEMU does with a card whose link is down. The table's own list has only the first.
  const shown = (used - table.getUint16(USED_AT, true)) & 0xffff;
  if (shown > size) return undefined;
  for (let i = 1; i <= shown; i++) counters.delete(shownHead((used - i) & (size - 1)));
  // Who lost a back-end says what the driver was shown, and who stopped one what that one took.
  const taken = (available - used) & 0xffff;
  if (taken !== 0 && taken !== counters.size) return undefined;
  return [...counters.keys()].sort((a, b) => Number((counters.get(a) as bigint) - (counters.get(b) as bigint)));
}

class SplitJournal implements QueueJournal {
  readonly #table: DataView;
  #counter: number;
  readonly #batch: number[] = [];

  constructor(table: DataView, counter: number) {
    this.#table = table;
    this.#counter = counter;
  }

  took({ id }: Chain): void {
    setUint53(this.#table, entry(id) + COUNTER_AT, this.#counter++);
    this.#table.setUint8(entry(id), 1);
  }

  untook({ id }: Chain): void {
    this.#table.setUint8(entry(id), 0);
  }

  used({ id }: Chain): void {
    this.#batch.push(id);
  }

  showing(): void {
    const table = this.#table;
    for (const id of this.#batch) {
      table.setUint16(entry(id) + NEXT_AT, table.getUint16(LAST_BATCH_HEAD_AT, true), true);
      table.setUint16(LAST_BATCH_HEAD_AT, id, true);
    }
  }

  shown(): void {
    const table = this.#table;
    for (const id of this.#batch) table.setUint8(entry(id), 0);
    const used = (table.getUint16(USED_AT, true) + this.#batch.length) & 0xffff;
    table.setUint16(USED_AT, used, true);
    this.#batch.length = 0;
  }
}
