/** The services of a machine: what its container has, by token. @module */
import type { Hypervisor, VirtualMachine } from "@virtspace/hypervisor";
import type { AcpiPower, Cmos, ExitPort, Pit, ResetPorts, Uart } from "@virtspace/pc-platform";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import type { ServiceIdentifier } from "inversify";
import type { AttachedDevice, GuestDone } from "./composed-machine.ts";
import type { MachineDescription } from "./machine-description.ts";
import type { MachineSurroundings } from "./machine-surroundings.ts";
import { token } from "./token.ts";

/** Tokens. */
export const Service: {
  readonly Description: ServiceIdentifier<MachineDescription>;
  readonly Surroundings: ServiceIdentifier<Required<MachineSurroundings>>;
  readonly Teardown: ServiceIdentifier<AsyncDisposableStack>;
  readonly Hypervisor: ServiceIdentifier<Hypervisor>;
  readonly Memory: ServiceIdentifier<VirtAddressSpace>;
  readonly Ports: ServiceIdentifier<VirtAddressSpace>;
  readonly Machine: ServiceIdentifier<VirtualMachine>;
  readonly Left: ServiceIdentifier<PromiseWithResolvers<GuestDone>>;
  readonly Console: ServiceIdentifier<Uart>;
  readonly Timer: ServiceIdentifier<Pit | undefined>;
  readonly Clock: ServiceIdentifier<Cmos>;
  readonly Power: ServiceIdentifier<AcpiPower>;
  readonly Reset: ServiceIdentifier<ResetPorts>;
  readonly Exit: ServiceIdentifier<ExitPort>;
  readonly Devices: ServiceIdentifier<readonly AttachedDevice[]>;
} = {
  Description: token("description"),
  Surroundings: token("surroundings"),
  Teardown: token("teardown"),
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
  Devices: token("devices"),
};
