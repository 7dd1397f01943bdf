/** Device numbers. @module */

/**
 * The device numbers of the standard, as far as they have a name here: any other will do.
 *
 * @see virtio 1.3, section 5
 */
export const VirtioDeviceType = {
  /** A network card. */
  Network: 1,
  /** A block device. */
  Block: 2,
  /** A console. */
  Console: 3,
  /** An entropy source. */
  Entropy: 4,
  /** The traditional memory balloon. */
  Balloon: 5,
  /** A SCSI host. */
  Scsi: 8,
  /** A file system over 9P. */
  NineP: 9,
  /** A graphics card. */
  Gpu: 16,
  /** A keyboard, a mouse, a tablet. */
  Input: 18,
  /** A socket to the host. */
  Socket: 19,
  /** A crypto device. */
  Crypto: 20,
  /** An IOMMU. */
  Iommu: 23,
  /** Memory that is plugged and unplugged. */
  Memory: 24,
  /** A sound card. */
  Sound: 25,
  /** A file system over FUSE. */
  FileSystem: 26,
  /** Persistent memory. */
  Pmem: 27,
  /** Memory protected against replay. */
  Rpmb: 28,
  /** System control and management. */
  Scmi: 32,
  /** An I2C adapter. */
  I2c: 34,
  /** A watchdog. */
  Watchdog: 35,
  /** A CAN controller. */
  Can: 36,
  /** A Bluetooth controller. */
  Bluetooth: 40,
  /** GPIO lines. */
  Gpio: 41,
  /** An SPI controller. */
  Spi: 45,
} as const;
