/** A ring's bytes. @module */
import { SHM_SIGNAL_SIZE } from "../signal/shm-signal-layout.ts";

/** At its start. */
export const IOQ_MAGIC = 0x47fa_2fe4;
/** Behind it. */
export const IOQ_VERSION = 4;
/** Bytes of the head; the signal lies within it. */
export const IOQ_HEAD_SIZE = 56;
/** Bytes of a descriptor. */
export const IOQ_DESC_SIZE = 32;

/** Offsets in the head. */
export const IoqOffset: {
  readonly magic: number;
  readonly version: number;
  readonly signal: number;
  readonly valid: number;
  readonly inuse: number;
  readonly count: number;
  readonly ring: number;
} = {
  magic: 0,
  version: 4,
  signal: 8,
  valid: 8 + SHM_SIGNAL_SIZE,
  inuse: 36,
  count: 48,
  ring: IOQ_HEAD_SIZE,
};
/** Offsets in an index. */
export const IndexOffset = { head: 0, tail: 4, full: 8 } as const;
/** Offsets in a descriptor. */
export const DescOffset = { cookie: 0, ptr: 8, len: 16, valid: 24, sown: 25 } as const;

/** Which of a ring's two indices: `valid` holds what has been posted, `inuse` what has been worked on. */
export type IoqIndex = "valid" | "inuse";

/** Bytes of a ring with a number of descriptors. */
export function ioqSize(count: number): number {
  return IOQ_HEAD_SIZE + count * IOQ_DESC_SIZE;
}
