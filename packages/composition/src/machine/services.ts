/** The services of a machine: what its container has, by token. @module */
import type { Hypervisor, VirtualMachine } from "@virtspace/hypervisor";
import type { AcpiPower, Cmos, ExitPort, Pit, ResetPorts, Uart } from "@virtspace/pc-platform";
import type { Notifier, VirtAddressSpace } from "@virtspace/virt-address-space";
import type { Logger } from "@virtspace/virtio";
import type { ServiceIdentifier } from "inversify";
import type { DeviceRack } from "../device/device-rack.ts";
import type { DeviceSlots } from "../device/device-slots.ts";
import type { MachineBus } from "../device/machine-bus.ts";
import type { GuestDone } from "./composed-machine.ts";
import type { MachineDescription } from "./machine-description.ts";
import type { MachineHost } from "./machine-host.ts";
import type { MachineSurroundings } from "./machine-surroundings.ts";
import { token } from "./token.ts";

/** Tokens. A module of a description's binds others in their place (`rebind`), and classes have them injected. */
export const Service: {
  /** What the machine is made of. */
  readonly Description: ServiceIdentifier<MachineDescription>;
  /** What it has around it. */
  readonly Surroundings: ServiceIdentifier<Required<MachineSurroundings>>;
  /** What is taken down with it, the last first: who binds something that holds something defers its end here. */
  readonly Teardown: ServiceIdentifier<AsyncDisposableStack>;
  /** Says what happens. */
  readonly Log: ServiceIdentifier<Logger>;
  /** Time, and later turns of the event loop. */
  readonly Host: ServiceIdentifier<MachineHost>;
  /** Fills bytes with numbers that nobody can foretell. */
  readonly Random: ServiceIdentifier<(bytes: Uint8Array) => void>;
  /** Makes what doorbells ring. */
  readonly Notifier: ServiceIdentifier<() => Notifier>;
  /** What runs it. */
  readonly Hypervisor: ServiceIdentifier<Hypervisor>;
  /** The guest's memory. */
  readonly Memory: ServiceIdentifier<VirtAddressSpace>;
  /** The guest's ports. */
  readonly Ports: ServiceIdentifier<VirtAddressSpace>;
  /** The machine of the hypervisor. */
  readonly Machine: ServiceIdentifier<VirtualMachine>;
  /** Resolved when the guest chose an end. */
  readonly Left: ServiceIdentifier<PromiseWithResolvers<GuestDone>>;
  /** The serial port. */
  readonly Console: ServiceIdentifier<Uart>;
  /** The timer; undefined where the engine has its own. */
  readonly Timer: ServiceIdentifier<Pit | undefined>;
  /** The clock. */
  readonly Clock: ServiceIdentifier<Cmos>;
  /** The power registers. */
  readonly Power: ServiceIdentifier<AcpiPower>;
  /** The reset ports. */
  readonly Reset: ServiceIdentifier<ResetPorts>;
  /** The exit port. */
  readonly Exit: ServiceIdentifier<ExitPort>;
  /** Addresses and interrupt lines. */
  readonly Slots: ServiceIdentifier<DeviceSlots>;
  /** The virtual bus; undefined where the machine has none. */
  readonly Bus: ServiceIdentifier<MachineBus | undefined>;
  /** The devices. */
  readonly Devices: ServiceIdentifier<DeviceRack>;
} = {
  Description: token("description"),
  Surroundings: token("surroundings"),
  Teardown: token("teardown"),
  Log: token("log"),
  Host: token("host"),
  Random: token("random"),
  Notifier: token("notifier"),
  Hypervisor: token("hypervisor"),
  Memory: token("memory"),
  Ports: token("ports"),
  Machine: token("machine"),
  Left: token("left"),
  Console: token("console"),
  Timer: token("timer"),
  Clock: token("clock"),
  Power: token("power"),
  Reset: token("reset"),
  Exit: token("exit"),
  Slots: token("slots"),
  Bus: token("bus"),
  Devices: token("devices"),
};
