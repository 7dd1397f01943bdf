/** The feature bits that belong to virtio itself. @module */

/**
 * Reserved feature bits: what queues and transports do.
 *
 * @see virtio 1.3, section 6
 */
export const VirtioFeature = {
  /** Descriptors may point at tables of descriptors. */
  RingIndirectDesc: 28,
  /** Each side says at which index it wants to be notified. */
  RingEventIdx: 29,
  /** The standard's version 1; without it a driver is a legacy one, which this project does not serve. */
  Version1: 32,
  /** Addresses are translated by an IOMMU. */
  AccessPlatform: 33,
  /** Queues have the packed layout. */
  RingPacked: 34,
  /** Buffers are used in the order in which they were made available. */
  InOrder: 35,
  /** Memory accesses are ordered as the platform orders them. */
  OrderPlatform: 36,
  /** Virtual functions. */
  SrIov: 37,
  /** Notifications carry the queue's position. */
  NotificationData: 38,
  /** The device says what to write to notify. */
  NotifConfigData: 39,
  /** Queues can be reset one by one. */
  RingReset: 40,
  /** An administration queue. */
  AdminVq: 41,
} as const;
