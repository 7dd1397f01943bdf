/**
 * Serves virtio devices to QEMU and other front-ends.
 *
 * @packageDocumentation
 */
export { VhostUserError, type VhostUserErrorCode } from "./error/vhost-user-error.ts";
export { LAYOUTS, type LayoutName } from "./protocol/layout.ts";
export { BACKEND_REQUESTS, type MessageKind, REQUESTS, type RequestName } from "./protocol/message-table.ts";
export { ProtocolFeature } from "./protocol/protocol-feature.ts";
export { type ConnectOptions, type Guest, type ServeOptions, VhostUserServer } from "./server/vhost-user-server.ts";
export type { Rings } from "./session/rings.ts";
export type { Session } from "./session/session.ts";
export type { VhostUserDevice } from "./session/vhost-user-device.ts";
