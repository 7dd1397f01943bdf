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
  /** The magic number, 32 bits. */
  readonly magic: number;
  /** The version, 32 bits. */
  readonly version: number;
  /** The ring's signal. */
  readonly signal: number;
  /** The index of what was posted. */
  readonly valid: number;
  /** The index of what was worked on. */
  readonly inuse: number;
  /** How many descriptors, 32 bits. */
  readonly count: number;
  /** The first descriptor. */
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
export const IndexOffset: {
  /** The next that is popped, 32 bits. */
  readonly head: number;
  /** The next that is pushed, 32 bits. */
  readonly tail: number;
  /** Whether head and tail are the same because all are used, 8 bits. */
  readonly full: number;
} = { head: 0, tail: 4, full: 8 };
/** Offsets in a descriptor. */
export const DescOffset: {
  /** The north's own word, 64 bits. */
  readonly cookie: number;
  /** Where the memory is, 64 bits. */
  readonly ptr: number;
  /** Bytes of it, 64 bits. */
  readonly len: number;
  /** Whether it says something, 8 bits. */
  readonly valid: number;
  /** Whether it is the south's, 8 bits. */
  readonly sown: number;
} = { cookie: 0, ptr: 8, len: 16, valid: 24, sown: 25 };

/** Which of a ring's two indices: `valid` holds what has been posted, `inuse` what has been worked on. */
export type IoqIndex = "valid" | "inuse";

/** Bytes of a ring with a number of descriptors. */
export function ioqSize(count: number): number {
  return IOQ_HEAD_SIZE + count * IOQ_DESC_SIZE;
}
