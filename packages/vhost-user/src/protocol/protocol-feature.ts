/** What two sides of vhost-user agree on beyond the features of the device. @module */

/** Protocol features, by bit. @see QEMU, docs/interop/vhost-user.rst, "Protocol features" */
export const ProtocolFeature = {
  /** Several queues: how many is asked for. */
  Mq: 0,
  /** The log of what is written is shared memory. */
  LogShmfd: 1,
  /** The network may be told where an address is. */
  Rarp: 2,
  /** Any message may ask whether it worked. */
  ReplyAck: 3,
  /** The largest payload of a frame is told. */
  NetMtu: 4,
  /** The back-end may send messages of its own. */
  BackendReq: 5,
  /** The configuration goes through this side. */
  Config: 9,
  /** What is in flight is kept in shared memory. */
  InflightShmfd: 12,
  /** The device may be reset. */
  ResetDevice: 13,
  /** Notifications may be messages. */
  InbandNotifications: 14,
  /** Regions of memory come and go one by one. */
  ConfigureMemSlots: 15,
  /** The device status is told. */
  Status: 16,
  /** The device's own state moves with a guest. */
  DeviceState: 19,
} as const;

/** A protocol feature's bit. */
export type ProtocolFeature = (typeof ProtocolFeature)[keyof typeof ProtocolFeature];

/** A feature bit of the device that says that there are protocol features. */
export const F_PROTOCOL_FEATURES = 30;
/** A feature bit of the device: what it writes is logged. */
export const F_LOG_ALL = 26;
