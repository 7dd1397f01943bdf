/**
 * AlacrityVM's virtual bus of 2009, on a VirtAddressSpace.
 *
 * @packageDocumentation
 */
export { type AdminEvent, VbusAdmin } from "./admin/vbus-admin.ts";
export * from "./bridge/bridge-abi.ts";
export { BridgeCounters } from "./bridge/bridge-counters.ts";
export { BridgeWindows, type BridgeWindowsOptions } from "./bridge/bridge-windows.ts";
export type { BusEvent } from "./bridge/event-queue.ts";
export { VbusBridge, type VbusBridgeOptions } from "./bridge/vbus-bridge.ts";
export { LocalConnector, type LocalConnectorOptions, type LocalShm } from "./client/local-connector.ts";
export { type SignalRequest, VbusClient, type VbusClientOptions } from "./client/vbus-client.ts";
export { Vbus, type VbusEntry, type VbusEvent, type VbusFault, type VbusOptions } from "./device/vbus.ts";
export type { VbusAttribute } from "./device/vbus-attribute.ts";
export { VbusConnection, type VbusConnectionOps } from "./device/vbus-connection.ts";
export type { VbusDevclass } from "./device/vbus-devclass.ts";
export { VbusDevice, type VbusDeviceOps, type VbusPort } from "./device/vbus-device.ts";
export { VbusDeviceInterface, type VbusDeviceInterfaceOps } from "./device/vbus-device-interface.ts";
export { type CallResult, Errno, type ErrnoName, isErrno, resultOf, returnValue } from "./errno/errno.ts";
export { VbusError, type VbusErrorCode } from "./error/vbus-error.ts";
export { defaultVbusHost, type VbusHost } from "./host/host.ts";
export { Ioq, type IoqOptions } from "./ioq/ioq.ts";
export { IoqIterator, type IoqIteratorOptions, type IoqSeek } from "./ioq/ioq-iterator.ts";
export {
  DescOffset,
  IndexOffset,
  IOQ_DESC_SIZE,
  IOQ_HEAD_SIZE,
  IOQ_MAGIC,
  IOQ_VERSION,
  type IoqIndex,
  IoqOffset,
  ioqSize,
} from "./ioq/ioq-layout.ts";
export { type GuestPiece, VbusMemctx } from "./memory/vbus-memctx.ts";
export { VbusShm } from "./memory/vbus-shm.ts";
export {
  defineVbusDevice,
  type VbusDeviceDefinition,
  type VbusDeviceFactory,
  type VbusDeviceParts,
  type VbusDeviceSurroundings,
  type VbusPlugin,
} from "./plugin/define-vbus-device.ts";
export { ShmSignal, type ShmSignalOptions } from "./signal/shm-signal.ts";
export {
  type Locale,
  SHM_SIGNAL_MAGIC,
  SHM_SIGNAL_SIZE,
  SHM_SIGNAL_VERSION,
  ShmSignalOffset,
  SideOffset,
} from "./signal/shm-signal-layout.ts";
export type {
  BridgeState,
  BusState,
  ClientState,
  EntryState,
  EventQueueState,
  EventState,
  FastcallState,
  OpenDeviceState,
  SharedState,
  SignalState,
} from "./state/vbus-state.ts";
export { venetDevclass } from "./venet/devclass.ts";
export { type VenetSurroundings, venet } from "./venet/plugin.ts";
export { Venet, type VenetOptions } from "./venet/venet.ts";
export * from "./venet/venet-abi.ts";
export { VenetCounters, type VenetDropReason } from "./venet/venet-counters.ts";
export type { VenetState, WaitingEvents } from "./venet/venet-state.ts";
