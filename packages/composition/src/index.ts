/**
 * Machines put together by dependency injection.
 *
 * @packageDocumentation
 */
export { consoleLines } from "@virtspace/pc-platform";
export { venet, venetDevclass } from "@virtspace/vbus";
export { virtioNet } from "@virtspace/virtio-net";
export { type BootChoice, flat, linux, type MachineLayout, multiboot } from "./boot/boot-choice.ts";
export { DeviceRack, type DeviceRackOptions } from "./device/device-rack.ts";
export { type BridgeSlot, type DeviceSlot, DeviceSlots } from "./device/device-slots.ts";
export { MachineBus, type MachineBusOptions, type MachineBusState } from "./device/machine-bus.ts";
export {
  type AttachedDevice,
  type AttachedVbusDevice,
  type AttachedVirtioDevice,
  type InjectedPlugin,
  type InjectedVbusPlugin,
  injected,
  injectedVbus,
  type MachineDevice,
  type MachineDeviceSurroundings,
  type MachineVbusDevice,
  type MachineVirtioDevice,
  type VbusDeviceOwner,
} from "./device/machine-device.ts";
export { type HypervisorChoice, kvm, v86 } from "./hypervisor/hypervisor-choice.ts";
export { boot, compose } from "./machine/boot.ts";
export type { ComposedMachine, GuestDone, GuestLeft, GuestPoweredOff, GuestReset, MachineOutcome } from "./machine/composed-machine.ts";
export { CompositionError, type CompositionErrorCode } from "./machine/composition-error.ts";
export { defineMachine, type MachineDescription, requireDescription } from "./machine/machine-description.ts";
export { defaultMachineHost, type MachineHost } from "./machine/machine-host.ts";
export type { DeviceSnapshot, MachineSnapshot } from "./machine/machine-snapshot.ts";
export type { MachineSurroundings } from "./machine/machine-surroundings.ts";
export { Service } from "./machine/services.ts";
