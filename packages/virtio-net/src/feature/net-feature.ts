/** The feature bits of network devices. @module */

/**
 * Feature bits of a network device.
 *
 * @see virtio 1.3, section 5.1.3
 */
export const NetFeature = {
  /** The device takes frames whose checksum is missing. */
  Csum: 0,
  /** The driver takes frames whose checksum is missing. */
  GuestCsum: 1,
  /** The driver may change what it takes while it runs. */
  CtrlGuestOffloads: 2,
  /** The configuration has the largest payload of a frame. */
  Mtu: 3,
  /** The configuration has an address. */
  Mac: 5,
  /** The driver takes large TCP segments over IPv4. */
  GuestTso4: 7,
  /** The driver takes large TCP segments over IPv6. */
  GuestTso6: 8,
  /** The driver takes large segments with congestion marks. */
  GuestEcn: 9,
  /** The device takes large TCP segments over IPv4. */
  HostTso4: 11,
  /** The device takes large TCP segments over IPv6. */
  HostTso6: 12,
  /** The device takes large segments with congestion marks. */
  HostEcn: 13,
  /** A frame may fill several receive buffers. */
  MrgRxbuf: 15,
  /** The configuration has the state of the link. */
  Status: 16,
  /** There is a control queue. */
  CtrlVq: 17,
  /** The driver sets what is received. */
  CtrlRx: 18,
  /** The driver sets which VLANs are received. */
  CtrlVlan: 19,
  /** The driver sets more of what is received. */
  CtrlRxExtra: 20,
  /** The device asks the driver to announce itself. */
  GuestAnnounce: 21,
  /** There may be several pairs of queues. */
  Mq: 22,
  /** The driver sets the address. */
  CtrlMacAddr: 23,
  /** The driver sets how interrupts of a queue are held back. */
  VqNotfCoal: 52,
  /** The driver sets how interrupts are held back. */
  NotfCoal: 53,
  /** The driver takes large UDP datagrams over IPv4. */
  GuestUso4: 54,
  /** The driver takes large UDP datagrams over IPv6. */
  GuestUso6: 55,
  /** The device takes large UDP datagrams. */
  HostUso: 56,
  /** The device tells the hash of what it delivers. */
  HashReport: 57,
  /** The driver spreads what is received by hash. */
  Rss: 60,
  /** The configuration has speed and duplex. */
  SpeedDuplex: 63,
} as const;
