/**
 * What a table of buffers in flight says of a packed ring whose back-end died; and what became of the ring since.
 *
 * Since then a front-end may have gone on: QEMU (7.2) gives back what a network card is to send while its link is down. It knows only
 * where it last said that the ring stands. That may be where the ring stood, or further on: then what it used lies behind what nobody
 * did, and the driver sees it only when it gets there.
 *
 * @module
 */
import {
  addressAt,
  type BufferAhead,
  behind,
  buffersAhead,
  distance,
  isFresh,
  isSame,
  type Place,
  placeOf,
  wasUsed,
} from "./packed-ring.ts";
import {
  ADDRESS_AT,
  BASE_AT,
  BASE_KNOWN,
  COUNTER_AT,
  entry,
  FREE_AT,
  LAST_AT,
  NEXT_AT,
  OLD_FREE_AT,
  OLD_USED_AT,
  OLD_WRAP_AT,
  SIZE_AT,
  SLOTS_AT,
  USED_AT,
  WRAP_AT,
} from "./packed-table.ts";
import { VERSION, VERSION_AT } from "./ring-position.ts";

/** What was found. */
export interface Found {
  /** The next place for a used buffer when the back-end died. */
  readonly used: Place;
  /** The entries of each buffer that was in flight, in the order in which they were taken. */
  readonly buffers: readonly (readonly number[])[];
  /** How many of these, from the first on, the driver has back. */
  readonly passed: number;
  /** What follows on them, up to the last that the front-end used: to be taken with them. */
  readonly ahead: readonly BufferAhead[];
}

/** Where a front-end says that a ring stands. */
export interface Base {
  readonly available: Place;
  readonly used: Place;
}

/** Nothing is in flight. */
export const foundNothing = (used: Place): Found => ({ used, buffers: [], passed: 0, ahead: [] });

/** Descriptors of some buffers. */
export const slotsOf = (buffers: readonly (readonly number[])[]): number => buffers.reduce((sum, { length }) => sum + length, 0);

/**
 * Reads a table.
 *
 * @param base - where the ring stands as the front-end says: the next buffer, and the next used one
 * @returns undefined where the table is another ring's, or the ring stands where the front-end says, with nothing in flight
 */
export function recover(table: DataView, size: number, ring: DataView, base: Base): Found | undefined {
  if (table.getUint16(VERSION_AT, true) !== VERSION || table.getUint16(SIZE_AT, true) !== size) return undefined;
  const old = { at: table.getUint16(OLD_USED_AT, true), wrap: table.getUint8(OLD_WRAP_AT) };
  const now = { at: table.getUint16(USED_AT, true), wrap: table.getUint8(WRAP_AT) };
  for (const { at, wrap } of [old, now]) if (at >= size || wrap > 1) return undefined;
  const buffers = buffersIn(table, size);
  if (buffers === undefined) return undefined;
  const from = saidIn(table);
  // Who was told where the ring stood, and says that, went nowhere.
  const moved = from !== undefined && !isSame(from, base.available) && !isSame(base.used, old);
  // Where the front-end found something to use, nobody had used it.
  const shown = !isSame(old, now) && wasUsed(ring, old) && !(moved && isSame(from, old));
  // The driver was shown a batch whose entries nobody came to clear.
  if (shown && !dropBatch(table, size, buffers)) return undefined;
  const all = [...buffers.values()].flat();
  if (new Set(all).size !== all.length) return undefined;
  const counter = ([head]: readonly number[]): bigint => table.getBigUint64(entry(head as number) + COUNTER_AT, true);
  const inOrder = [...buffers.values()].sort((a, b) => Number(counter(a) - counter(b)));
  const left = { ...foundNothing(shown ? now : old), buffers: inOrder };
  const found = moved ? follow(ring, size, left, from, base.available) : left;
  return found !== undefined && isFresh(ring) && !isBegun(table, ring, size, found) ? undefined : found;
}

function saidIn(table: DataView): Place | undefined {
  const word = table.getUint32(BASE_AT, true);
  return (word & BASE_KNOWN) === 0 ? undefined : placeOf(word);
}

function buffersIn(table: DataView, size: number): Map<number, readonly number[]> | undefined {
  const buffers = new Map<number, readonly number[]>();
  let left = size;
  for (let head = 0; head < size; head++) {
    if (table.getUint8(entry(head)) !== 1) continue;
    const indices = entriesOf(table, size, head, left);
    if (indices === undefined) return undefined;
    left -= indices.length;
    buffers.set(head, indices);
  }
  return buffers;
}

/** @param most - entries that no buffer before had: a table in which each has them all must not be read for long */
function entriesOf(table: DataView, size: number, head: number, most: number): readonly number[] | undefined {
  const slots = table.getUint16(entry(head) + SLOTS_AT, true);
  if (slots === 0 || slots > most) return undefined;
  const indices: number[] = [];
  for (let index = head; indices.length < slots; index = table.getUint16(entry(index) + NEXT_AT, true)) {
    if (index >= size) return undefined;
    indices.push(index);
  }
  return indices;
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

/** Whether the buffers are the first of the ring. A device overwrites lengths and ids there before it shows that, but no addresses. */
function isBegun(table: DataView, ring: DataView, size: number, { used, buffers, passed }: Found): boolean {
  const { at, wrap } = behind(used, slotsOf(buffers.slice(0, passed)), size);
  if (at !== 0 || wrap !== 1) return false;
  const indices = buffers.slice(passed).flat();
  return indices.every((index, i) => addressAt(ring, i) === table.getBigUint64(entry(index) + ADDRESS_AT, true));
}

/** Follows a front-end that went on by itself from one place to another. */
function follow(ring: DataView, size: number, found: Found, from: Place, to: Place): Found | undefined {
  if (isSame(from, found.used)) return withPassed(ring, size, found, to);
  const held = slotsOf(found.buffers);
  const end = distance(found.used, to, size);
  if (end <= held) return found;
  if (end > size || distance(found.used, from, size) >= end) return undefined;
  const ahead = buffersAhead(ring, size, behind(found.used, held, size), end - held);
  return ahead && { ...found, ahead };
}

/**
 * The front-end served the ring from where that stood, and with it all that was in flight; unless it came to what the back-end had
 * used and not shown: the driver sees that now, and what follows is in flight still.
 */
function withPassed(ring: DataView, size: number, found: Found, to: Place): Found | undefined {
  const { buffers } = found;
  let { used } = found;
  let passed = 0;
  const pass = (): void => {
    used = behind(used, buffers[passed++]?.length ?? 0, size);
  };
  while (passed < buffers.length && !isSame(used, to)) pass();
  if (passed === buffers.length || !wasUsed(ring, used)) return undefined;
  while (passed < buffers.length && wasUsed(ring, used)) pass();
  return { ...found, passed };
}
