/**
 * Serves virtio devices to QEMU and other front-ends.
 *
 * @packageDocumentation
 */
export { VhostUserError, type VhostUserErrorCode } from "./error/vhost-user-error.ts";
export type { LayoutName } from "./protocol/layout.ts";
export { BACKEND_MESSAGES, MESSAGES, type MessageKind } from "./protocol/message-table.ts";
export { ProtocolFeature } from "./protocol/protocol-feature.ts";
export { type ConnectOptions, type Guest, type ServeOptions, VhostUserServer } from "./server/vhost-user-server.ts";
export type { VhostUserDevice } from "./session/vhost-user-device.ts";
