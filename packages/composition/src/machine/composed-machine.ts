/** A machine that was put together. @module */
import type { Hypervisor, MachineEnd, VirtualMachine } from "@virtspace/hypervisor";
import type { AcpiPower, ExitPort, Uart } from "@virtspace/pc-platform";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import type { Container } from "inversify";
import type { MachineBus } from "../device/machine-bus.ts";
import type { AttachedDevice, MachineDevice } from "../device/machine-device.ts";
import type { MachineSnapshot } from "./machine-snapshot.ts";

/** The guest left by the exit port. */
export interface GuestLeft {
  /** Which end. */
  readonly reason: "left";
  /** What it wrote. */
  readonly status: number;
}

/** The guest turned its machine off. */
export interface GuestPoweredOff {
  /** Which end. */
  readonly reason: "powered-off";
}

/** The guest wants its machine to start anew. */
export interface GuestReset {
  /** Which end. */
  readonly reason: "reset";
}

/** An end that the guest chose. */
export type GuestDone = GuestLeft | GuestPoweredOff | GuestReset;

/** How a machine came to an end. */
export type MachineOutcome = GuestDone | MachineEnd;

/** The parts of a machine. Dispose it to take it down, in the reverse of the order in which it was put together. */
export interface ComposedMachine extends AsyncDisposable {
  /** Its name. */
  readonly name: string;
  /** What runs it. */
  readonly hypervisor: Hypervisor;
  /** The guest's memory. */
  readonly memory: VirtAddressSpace;
  /** Its ports. */
  readonly ports: VirtAddressSpace;
  /** The machine of the hypervisor. */
  readonly machine: VirtualMachine;
  /** Its serial port. */
  readonly console: Uart;
  /** Its power button, and the guest's. */
  readonly power: AcpiPower;
  /** Where it says that it is done. */
  readonly exit: ExitPort;
  /** Its devices, as they are now. */
  readonly devices: readonly AttachedDevice[];
  /** Its virtual bus, where it has one. */
  readonly bus: MachineBus | undefined;
  /** Its services, by the tokens of {@link Service}. */
  readonly container: Container;
  /**
   * Makes a device and puts it into the machine, which may run.
   *
   * @throws {@link CompositionError} `device-failed`, `no-line`, `no-bus`
   */
  add(plugin: MachineDevice): Promise<AttachedDevice>;
  /**
   * Takes a device out, and has it stop.
   *
   * @throws {@link CompositionError} `device-failed`, `device-stuck`, where it is out all the same; `no-device`
   */
  remove(device: AttachedDevice): Promise<void>;
  /**
   * Stops the machine and writes it down, for `compose(description, { from })` here or elsewhere. Its devices serve the guest no more: dispose it.
   * Throws what its parts say.
   */
  save(): Promise<MachineSnapshot>;
  /** Resolves when the guest has left, or came to another end. */
  readonly outcome: Promise<MachineOutcome>;
}
