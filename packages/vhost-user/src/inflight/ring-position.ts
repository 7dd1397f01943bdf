/** Where a ring stands, and what its table says of that. @module */
import type { QueueJournal, QueueState } from "@virtspace/virtio";

/** Where a ring stands, as a queue's state has it. */
export type RingPosition = Pick<QueueState, "available" | "used">;

/** A table that is in use. */
export interface OpenTable {
  /** Writes to it. */
  readonly journal: QueueJournal;
  /** Where the ring goes on. */
  readonly state: QueueState;
}

/** The version of the tables, and where they have it. */
export const VERSION = 1;
export const VERSION_AT = 8;

/** Makes a table say nothing. */
export const voidTable = (table: DataView): void => table.setUint16(VERSION_AT, 0, true);

/** A copy of a table: another process can write to it, so it is read once. */
export const copyOf = (table: DataView): DataView =>
  new DataView(new Uint8Array(table.buffer, table.byteOffset, table.byteLength).slice().buffer);

/** Writes a number that may have more than 32 bits. */
export function setUint53(table: DataView, at: number, value: number): void {
  table.setUint32(at, value >>> 0, true);
  table.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}
