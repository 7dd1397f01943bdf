/**
 * Machines put together by dependency injection.
 *
 * @packageDocumentation
 */
export { type BootChoice, flat, linux, type MachineLayout, multiboot } from "./boot/boot-choice.ts";
export type { DeviceSlot } from "./device/device-slots.ts";
export { type DeviceSurroundings, type MachineDevice, virtioNet } from "./device/machine-device.ts";
export { type HypervisorChoice, kvm, v86 } from "./hypervisor/hypervisor-choice.ts";
export { boot, compose } from "./machine/boot.ts";
export type {
  AttachedDevice,
  ComposedMachine,
  GuestDone,
  GuestLeft,
  GuestPoweredOff,
  GuestReset,
  MachineOutcome,
} from "./machine/composed-machine.ts";
export { CompositionError, type CompositionErrorCode } from "./machine/composition-error.ts";
export { defineMachine, type MachineDescription, requireDescription } from "./machine/machine-description.ts";
export type { MachineSurroundings } from "./machine/machine-surroundings.ts";
