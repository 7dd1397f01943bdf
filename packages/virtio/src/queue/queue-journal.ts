/**
 * Where a queue writes down what the device has, so that another process can go on when this one died at any moment.
 *
 * @module
 */
import type { Chain } from "./chain.ts";
import type { QueueState } from "./queue-state.ts";

/** Is told what a queue does, in the order in which that has to be written down. */
export interface QueueJournal {
  /**
   * The device takes a buffer.
   *
   * @param words - the descriptors of the ring, four words each; they are the driver's, who may change them
   * @param at - the first descriptor of the buffer
   */
  took(chain: Chain, words: Uint32Array, at: number): void;
  /** The buffer that was taken last is as if it had never been. */
  untook(chain: Chain): void;
  /** A buffer is among the used ones. The driver has not been shown it. */
  used(chain: Chain): void;
  /** The driver is about to be shown the used buffers. @param position - where the queue stands with them */
  showing(position: Omit<QueueState, "inFlight">): void;
  /** The driver has been shown them. */
  shown(): void;
}
