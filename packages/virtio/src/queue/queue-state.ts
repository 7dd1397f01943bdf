/** Where a queue stands: what a device gives back when it stops a queue, and what saving and migration carry. @module */

/**
 * A queue's position, as plain values that survive JSON and structured clone.
 *
 * For a split queue `available` and `used` are the free-running 16-bit indices. For a packed queue they are positions in the
 * ring with the wrap counter in bit 15, as vhost-user's VRING_BASE has them.
 */
export interface QueueState {
  /** The next buffer to take. */
  readonly available: number;
  /** The next place for a used buffer. */
  readonly used: number;
  /** Buffers that were taken and not given back, in the order in which they were taken: to be processed again. */
  readonly inFlight: readonly (InFlightBuffer | JournalledBuffer)[];
}

/**
 * A buffer that the device has. Its addresses are part of it: in a packed ring used buffers overwrite the descriptors of
 * those that are still in flight.
 */
export interface InFlightBuffer {
  /** Split: the index of its first descriptor. Packed: its id. */
  readonly id: number;
  /** Descriptors in the ring. */
  readonly slots: number;
  /** Guest address and bytes of what the device reads. */
  readonly readable: readonly (readonly [address: number, length: number])[];
  /** Guest address and bytes of what the device writes. */
  readonly writable: readonly (readonly [address: number, length: number])[];
  /** Bytes written, where the device was done with it and it waited for those before it: it is given back, not processed again. */
  readonly written?: number;
}

/** A buffer that the device had when its process died, as a journal has it: nothing of it was checked. */
export interface JournalledBuffer {
  /** Split: the index of its first descriptor. Packed: its id. */
  readonly id: number;
  /** Descriptors in the ring. */
  readonly slots: number;
  /** Packed: its descriptors as they were in the ring. A split queue finds them there still. */
  readonly descriptors: readonly RingDescriptor[];
}

/** A descriptor of a packed ring. */
export type RingDescriptor = readonly [address: number, length: number, flags: number];

/** The state of a queue that has not run. */
export function freshQueueState(packed: boolean): QueueState {
  const start = packed ? 0x8000 : 0;
  return { available: start, used: start, inFlight: [] };
}
