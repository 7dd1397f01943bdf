/**
 * The registers of virtio over MMIO, version 2.
 *
 * @see virtio 1.3, section 4.2.2
 * @module
 */

/** Offsets from the start of the window, bytes. */
export const Register = {
  /** "virt", little-endian; read. */
  MagicValue: 0x000,
  /** 2; read. */
  Version: 0x004,
  /** The device's type; read. */
  DeviceId: 0x008,
  /** The vendor; read. */
  VendorId: 0x00c,
  /** A word of what the device offers; read. */
  DeviceFeatures: 0x010,
  /** Which word `DeviceFeatures` shows; written. */
  DeviceFeaturesSel: 0x014,
  /** A word of what the driver wants; written. */
  DriverFeatures: 0x020,
  /** Which word `DriverFeatures` is; written. */
  DriverFeaturesSel: 0x024,
  /** The queue that the queue registers are about; written. */
  QueueSel: 0x030,
  /** The most descriptors, 0 where there is no such queue; read. */
  QueueSizeMax: 0x034,
  /** Descriptors; written. */
  QueueSize: 0x038,
  /** Whether the queue is live. */
  QueueReady: 0x044,
  /** The number of a queue with new buffers; written. */
  QueueNotify: 0x050,
  /** Why there is an interrupt; read. */
  InterruptStatus: 0x060,
  /** Reasons that have been handled; written. */
  InterruptAck: 0x064,
  /** The device's status; 0 resets it. */
  Status: 0x070,
  /** The descriptor area. */
  QueueDescLow: 0x080,
  /** Its upper half. */
  QueueDescHigh: 0x084,
  /** The driver area. */
  QueueDriverLow: 0x090,
  /** Its upper half. */
  QueueDriverHigh: 0x094,
  /** The device area. */
  QueueDeviceLow: 0x0a0,
  /** Its upper half. */
  QueueDeviceHigh: 0x0a4,
  /** The shared memory region that the next four are about; written. */
  ShmSel: 0x0ac,
  /** Its length; read. */
  ShmLenLow: 0x0b0,
  /** The upper half; read. */
  ShmLenHigh: 0x0b4,
  /** Its address; read. */
  ShmBaseLow: 0x0b8,
  /** The upper half; read. */
  ShmBaseHigh: 0x0bc,
  /** 1 resets the queue; reads as 0 when that is done. */
  QueueReset: 0x0c0,
  /** Changes with the configuration; read. */
  ConfigGeneration: 0x0fc,
  /** The device's configuration begins here. */
  Config: 0x100,
} as const;

/** "virt", little-endian. */
export const MAGIC = 0x74726976;

/** Bits of the device's status. @see virtio 1.3, section 2.1 */
export const DeviceStatus = {
  /** The driver has seen the device. */
  Acknowledge: 1,
  /** It knows how to drive it. */
  Driver: 2,
  /** It is ready. */
  DriverOk: 4,
  /** Features are settled. */
  FeaturesOk: 8,
  /** The device needs a reset. */
  NeedsReset: 64,
  /** The driver gave up. */
  Failed: 128,
} as const;

/** Bits of InterruptStatus. */
export const InterruptReason = {
  /** Buffers were used. */
  UsedBuffer: 1,
  /** The configuration has changed, or the device needs a reset. */
  ConfigChange: 2,
} as const;
