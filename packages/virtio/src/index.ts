/**
 * Virtio's mechanisms on a `VirtAddressSpace`: queues, features, the device contract and virtio over MMIO.
 *
 * @packageDocumentation
 */
export { ConfigBytes, type DeviceConfig, type WritableField } from "./device/device-config.ts";
export { DeviceRunner, QUEUE_FEATURES, type RunnerOwner } from "./device/device-runner.ts";
export { VirtioDeviceType } from "./device/device-type.ts";
export { type Logger, silentLogger } from "./device/logger.ts";
export type { DeviceContext, QueueSpec, VirtioDevice } from "./device/virtio-device.ts";
export { VirtioError, type VirtioErrorCode } from "./error/virtio-error.ts";
export { FeatureSet } from "./feature/feature-set.ts";
export { VirtioFeature } from "./feature/virtio-feature.ts";
export { defaultRandom, defaultVirtioHost, type VirtioHost } from "./host/host.ts";
export type { MmioQueueState, MmioState } from "./mmio/mmio-state.ts";
export { DeviceStatus, InterruptReason, Register } from "./mmio/registers.ts";
export { VirtioMmio, type VirtioMmioOptions } from "./mmio/virtio-mmio.ts";
export { type DeviceDefinition, type DeviceFactory, defineDevice } from "./plugin/define-device.ts";
export type { DefinedQueue, DeviceParts, DeviceSurroundings, NamedQueue, StartedDevice, VirtioPlugin } from "./plugin/device-definition.ts";
export { Chain } from "./queue/chain.ts";
export { openVirtqueue } from "./queue/open-virtqueue.ts";
export { requirePollTime } from "./queue/poll-time.ts";
export { isQueueSize, MAX_QUEUE_SIZE, type QueueConfig } from "./queue/queue-config.ts";
export type { QueueJournal } from "./queue/queue-journal.ts";
export type { ChainHandler, ServeOptions } from "./queue/queue-server.ts";
export {
  freshQueueState,
  type InFlightBuffer,
  type JournalledBuffer,
  type QueueState,
  type RingDescriptor,
} from "./queue/queue-state.ts";
export type { RingFault, RingFaultCode } from "./queue/ring-fault.ts";
export { type QueueCounters, type QueueOwner, Virtqueue } from "./queue/virtqueue.ts";
