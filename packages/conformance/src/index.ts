/**
 * Suites that implementations of virtspace's contracts must pass, as vitest tests, and drivers that play the guest.
 *
 * @packageDocumentation
 */
export { type DeviceRequest, type DeviceSuiteOptions, deviceSuite } from "./device/device-suite.ts";
export { type GuestName, guestImage } from "./guest/guest-image.ts";
export { type AccessSize, GuestCode } from "./hypervisor/guest-code.ts";
export { type HypervisorSuiteOptions, hypervisorSuite } from "./hypervisor/hypervisor-suite.ts";
export { Place, TrialMachine } from "./hypervisor/trial-machine.ts";
export { type MemoryProviderFixture, type MemoryProviderSuiteOptions, memoryProviderSuite } from "./memory/memory-provider-suite.ts";
export type { BusCallAnswer, BusCaller, HostChoice } from "./vbus/bus-caller.ts";
export { GuestHeap } from "./vbus/guest-heap.ts";
export { type ProxySignal, VbusDeviceProxy } from "./vbus/vbus-device-proxy.ts";
export { type VbusDeviceCall, type VbusDeviceSuiteOptions, vbusDeviceSuite } from "./vbus/vbus-device-suite.ts";
export { type VbusDriver, VbusGuest, type VbusGuestOptions } from "./vbus/vbus-guest.ts";
export { type SentFrame, type VenetCapabilities, VenetNic, type VenetNicOptions, type VenetSignals } from "./vbus/venet-nic.ts";
export { MmioDriver } from "./virtio/mmio-driver.ts";
export { type PackedDescriptor, PackedDriver } from "./virtio/packed-driver.ts";
export type { BufferOptions, RingDriver, RingPlace, UsedBuffer } from "./virtio/ring-driver.ts";
export { DESC_INDIRECT, DESC_NEXT, DESC_WRITE } from "./virtio/ring-driver.ts";
export { type SplitDescriptor, SplitDriver } from "./virtio/split-driver.ts";
