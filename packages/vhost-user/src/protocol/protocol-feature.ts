/** What two sides of vhost-user agree on beyond the features of the device. @module */

/** Protocol features, by bit. @see QEMU, docs/interop/vhost-user.rst, "Protocol features" */
export const ProtocolFeature = {
  Mq: 0,
  LogShmfd: 1,
  Rarp: 2,
  ReplyAck: 3,
  NetMtu: 4,
  BackendReq: 5,
  Config: 9,
  InflightShmfd: 12,
  ResetDevice: 13,
  InbandNotifications: 14,
  ConfigureMemSlots: 15,
  Status: 16,
  DeviceState: 19,
} as const;

/** A protocol feature's bit. */
export type ProtocolFeature = (typeof ProtocolFeature)[keyof typeof ProtocolFeature];

/** A feature bit of the device that says that there are protocol features. */
export const F_PROTOCOL_FEATURES = 30;
/** A feature bit of the device: what it writes is logged. */
export const F_LOG_ALL = 26;
