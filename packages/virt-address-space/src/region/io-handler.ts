/** What stands behind an I/O window. @module */

/** Bytes of one access that an I/O handler sees. */
export type IoSize = 1 | 2 | 4;

/**
 * A device's registers. Offsets count from the start of the window; values are unsigned, little-endian.
 *
 * A handler runs on the thread that mapped it, inside somebody's access, so it answers at once. It may use the space
 * (DMA, even map and unmap), but an access that comes back to the window it is serving is refused. One that throws fails
 * the access and is reported through the space's `onFault`; nothing else is harmed.
 */
export interface IoHandler {
  /** Reads a register. */
  read(offset: number, size: IoSize): number;
  /** Writes a register. */
  write(offset: number, size: IoSize, value: number): void;
  /** Reads 8 bytes at once. Without it such an access arrives as two reads of 4, the lower first. */
  read64?(offset: number): bigint;
  /** Writes 8 bytes at once. Without it such an access arrives as two writes of 4, the lower first. */
  write64?(offset: number, value: bigint): void;
}
