/** What a driver did wrong, as a value. @module */

/**
 * - `misaligned`, `ring-unmapped`: a ring's address can't be used (a hole, an I/O window, ROM, across two regions)
 * - `ring-gone`: the memory of a ring was unmapped while the queue ran
 * - `index-jump`: the driver made more buffers available than the queue has
 * - `ring-overrun`: packed: descriptors were made available that the device has not given back
 * - `head-out-of-range`, `next-out-of-range`: no such descriptor
 * - `head-in-flight`: a buffer that the device still has was made available again
 * - `chain-too-long`: more descriptors than the queue has, or a loop of them
 * - `chain-too-large`: 4 GiB and more
 * - `zero-length`: a descriptor of no bytes
 * - `bad-address`: an address that no guest has
 * - `unmapped`, `not-memory`, `read-only`, `elsewhere`, `gone`: a buffer's memory can't be used
 * - `readable-after-writable`: a descriptor for the device to read behind one for it to write
 * - `indirect-not-negotiated`, `indirect-with-next`, `indirect-nested`, `indirect-in-chain`, `indirect-length`: a table that may not be
 */
export type RingFaultCode =
  | "misaligned"
  | "ring-unmapped"
  | "ring-gone"
  | "index-jump"
  | "ring-overrun"
  | "head-out-of-range"
  | "next-out-of-range"
  | "head-in-flight"
  | "chain-too-long"
  | "chain-too-large"
  | "zero-length"
  | "bad-address"
  | "unmapped"
  | "not-memory"
  | "read-only"
  | "elsewhere"
  | "gone"
  | "readable-after-writable"
  | "indirect-not-negotiated"
  | "indirect-with-next"
  | "indirect-nested"
  | "indirect-in-chain"
  | "indirect-length";

/** A driver's fault: it retires its queue, and nothing else. */
export interface RingFault {
  /** What was wrong. */
  readonly code: RingFaultCode;
  /** The queue. */
  readonly queue: number;
  /** The number that was wrong: an address, an index, a length. */
  readonly value: number;
}
