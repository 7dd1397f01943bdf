/**
 * The layout of the table of buffers in flight of a packed ring.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Inflight I/O tracking"
 * @module
 */
import type { InFlightBuffer, JournalledBuffer, RingDescriptor } from "@virtspace/virtio";
import { bufferOf, type Place } from "./packed-ring.ts";

const HEAD_BYTES = 32;
export const SIZE_AT = 10;
/** The list of free entries, and where it began before the batch that was shown last. */
export const FREE_AT = 12;
export const OLD_FREE_AT = 14;
/** The next place for a used buffer, and the one before that batch; and their wrap counters. */
export const USED_AT = 16;
export const OLD_USED_AT = 18;
export const WRAP_AT = 20;
export const OLD_WRAP_AT = 21;
/** Where nothing is by the document: where the front-end said that the ring stands, and whether that is written there. */
export const BASE_AT = 24;
export const BASE_KNOWN = 1 << 16;

const ENTRY_BYTES = 32;
// Of an entry, which is a descriptor: the entry that follows in its buffer, or in the list of free ones.
export const NEXT_AT = 2;
// Of a buffer's first entry alone: its last entry, how many it has, and the order in which buffers were taken.
export const LAST_AT = 4;
export const SLOTS_AT = 6;
export const COUNTER_AT = 8;
// The descriptor.
export const ID_AT = 16;
const FLAGS_AT = 18;
export const LENGTH_AT = 20;
export const ADDRESS_AT = 24;

/** Where an entry is. Its first byte says whether it begins a buffer that is in flight. */
export const entry = (index: number): number => HEAD_BYTES + ENTRY_BYTES * index;

/** Bytes of a table. */
export const packedTableBytes = (size: number): number => entry(size);

/** Writes where the ring stands once a batch is shown. */
export function setShowing(table: DataView, { at, wrap }: Place): void {
  table.setUint16(USED_AT, at, true);
  table.setUint8(WRAP_AT, wrap);
}

/** Writes where it stands now; in one store, as half of it would say another place. */
export function setShown(table: DataView, { at, wrap }: Place): void {
  table.setUint32(OLD_USED_AT, at | (wrap << 16) | (wrap << 24), true);
}

/** The buffer of some entries. */
export function readBuffer(table: DataView, indices: readonly number[]): InFlightBuffer | JournalledBuffer {
  const last = entry(indices.at(-1) as number);
  return bufferOf(
    table.getUint16(last + ID_AT, true),
    indices.map((index) => descriptorOf(table, index)),
  );
}

function descriptorOf(table: DataView, index: number): RingDescriptor {
  const at = entry(index);
  const address = table.getUint32(at + ADDRESS_AT, true) + table.getUint32(at + ADDRESS_AT + 4, true) * 2 ** 32;
  return [address, table.getUint32(at + LENGTH_AT, true), table.getUint16(at + FLAGS_AT, true)];
}
