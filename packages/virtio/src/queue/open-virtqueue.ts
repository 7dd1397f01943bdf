/** Opens a queue in the layout that was negotiated. @module */
import { VirtioFeature } from "../feature/virtio-feature.ts";
import { PackedQueue } from "./packed-queue.ts";
import type { QueueConfig } from "./queue-config.ts";
import type { RingFault } from "./ring-fault.ts";
import { SplitQueue } from "./split-queue.ts";
import type { QueueOwner, Virtqueue } from "./virtqueue.ts";

/**
 * Opens a queue.
 *
 * @returns the queue, or the driver's fault where its rings can't be used (`misaligned`, `ring-unmapped`)
 * @throws {@link VirtioError} `invalid-queue` for a size that no queue has: transports ask `isQueueSize` first
 */
export function openVirtqueue(config: QueueConfig, owner: QueueOwner): Virtqueue | RingFault {
  const queue = config.features.has(VirtioFeature.RingPacked) ? new PackedQueue(config, owner) : new SplitQueue(config, owner);
  const refusal = queue.bind();
  return refusal === undefined ? queue : { ...refusal, queue: config.index };
}
