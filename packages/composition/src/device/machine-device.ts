/** Devices, as a machine's description has them. @module */
import type { NetworkBackend } from "@virtspace/network";
import type { VbusDevice, VbusPlugin } from "@virtspace/vbus";
import type { DeviceSurroundings, VirtioDevice, VirtioMmio, VirtioPlugin } from "@virtspace/virtio";
import type { Newable } from "inversify";
import type { DeviceSlot } from "./device-slots.ts";

/** A device whose class the machine's container makes, with what its constructor asks for. */
export interface InjectedPlugin {
  /** What carries it. */
  readonly bus: "virtio";
  /** For people. */
  readonly name: string;
  /** The class: `@injectable()`, its parameters `@inject(token)`. */
  readonly injected: Newable<VirtioDevice>;
}

/** What owns a device of the virtual bus, as `Venet` does. */
export interface VbusDeviceOwner {
  /** The device: it is given back when the machine goes. */
  readonly device: VbusDevice;
}

/** As {@link InjectedPlugin}, for the virtual bus. */
export interface InjectedVbusPlugin {
  /** What carries it. */
  readonly bus: "vbus";
  /** For people. */
  readonly name: string;
  /** The class: `@injectable()`, its parameters `@inject(token)`. */
  readonly injected: Newable<VbusDeviceOwner>;
}

/** A device of a machine that virtio carries. */
export type MachineVirtioDevice = VirtioPlugin | InjectedPlugin;

/** A device of a machine that is on its virtual bus. */
export type MachineVbusDevice = VbusPlugin | InjectedVbusPlugin;

/** A device of a machine, to be made when the machine is. */
export type MachineDevice = MachineVirtioDevice | MachineVbusDevice;

/** What a plug-in is made with; devices that need no network pass over the last of it. */
export interface MachineDeviceSurroundings extends DeviceSurroundings {
  /** What a network is plugged through: a capture, where one is wanted. */
  readonly network: (backend: NetworkBackend) => NetworkBackend;
}

/**
 * Has the machine's container make a device.
 *
 * @param name - for people
 * @param device - a class with inversify's decorators; the machine's own services are injected by the tokens of {@link Service}
 */
export function injected(name: string, device: Newable<VirtioDevice>): InjectedPlugin {
  return { bus: "virtio", name, injected: device };
}

/**
 * Has the machine's container make a device for its virtual bus.
 *
 * @param name - for people
 * @param owner - a class with inversify's decorators, whose instances have a `device`
 */
export function injectedVbus(name: string, owner: Newable<VbusDeviceOwner>): InjectedVbusPlugin {
  return { bus: "vbus", name, injected: owner };
}

/** A virtio device that is in a machine. */
export interface AttachedVirtioDevice extends DeviceSlot {
  /** What carries it. */
  readonly bus: "virtio";
  /** For people. */
  readonly name: string;
  /** The device. */
  readonly device: VirtioDevice;
  /** Its registers. */
  readonly transport: VirtioMmio;
}

/** A device of the virtual bus that is in a machine. */
export interface AttachedVbusDevice {
  /** What carries it. */
  readonly bus: "vbus";
  /** For people. */
  readonly name: string;
  /** The device. */
  readonly device: VbusDevice;
}

/** A device that is in a machine. */
export type AttachedDevice = AttachedVirtioDevice | AttachedVbusDevice;
