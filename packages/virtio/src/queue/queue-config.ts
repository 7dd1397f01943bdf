/** What a driver says of a queue before it runs. @module */
import type { GuestAddress } from "@virtspace/virt-address-space";
import { VirtioError } from "../error/virtio-error.ts";
import type { FeatureSet } from "../feature/feature-set.ts";
import type { QueueJournal } from "./queue-journal.ts";
import type { QueueState } from "./queue-state.ts";

/** The most descriptors that a queue may have. */
export const MAX_QUEUE_SIZE = 32768;

/** A queue's set-up. */
export interface QueueConfig {
  /** The queue's number. */
  readonly index: number;
  /** Descriptors; a power of two for a split queue. */
  readonly size: number;
  /** Split: the descriptor table. Packed: the ring. Aligned to 16. */
  readonly descriptors: GuestAddress;
  /** Split: the available ring, aligned to 2. Packed: the driver's event suppression, aligned to 4. */
  readonly driver: GuestAddress;
  /** Split: the used ring, aligned to 4. Packed: the device's event suppression, aligned to 4. */
  readonly device: GuestAddress;
  /** What was negotiated: RING_PACKED, EVENT_IDX, INDIRECT_DESC and IN_ORDER matter here. */
  readonly features: FeatureSet;
  /** Where the queue stood when it was stopped; left out for one that starts. */
  readonly state?: QueueState;
  /** Where to write down what the device has; nowhere unless given. */
  readonly journal?: QueueJournal | undefined;
}

/** Whether a queue may have this many descriptors. */
export function isQueueSize(size: number, packed: boolean): boolean {
  if (!Number.isInteger(size) || size < 1 || size > MAX_QUEUE_SIZE) return false;
  return packed || (size & (size - 1)) === 0;
}

/** Throws `invalid-queue` for a size that no queue has: a transport must have refused it. */
export function requireQueueSize({ index, size }: QueueConfig, packed: boolean): void {
  if (isQueueSize(size, packed)) return;
  const shape = packed ? "1 to 32768" : "a power of two up to 32768";
  throw new VirtioError("invalid-queue", `queue ${index} can't have ${size} descriptors: ${shape}; ask isQueueSize first`, { index, size });
}
