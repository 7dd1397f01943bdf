/**
 * A machine as a value, to go on elsewhere: its memory, its processors, its platform, and what devices know beyond the guest's memory.
 * Rings stand in the guest's memory and go with it; networks and files stay where they are.
 *
 * @module
 */
import type { MachineState } from "@virtspace/hypervisor";
import type { AcpiPower, Cmos, Pit, Uart } from "@virtspace/pc-platform";
import type { VirtioMmio } from "@virtspace/virtio";
import type { Container } from "inversify";
import type { MachineBusState } from "../device/machine-bus.ts";
import type { AttachedVirtioDevice } from "../device/machine-device.ts";
import { CompositionError } from "./composition-error.ts";
import { Service } from "./services.ts";

/** A virtio device of a machine, and where it was. */
export interface DeviceSnapshot {
  /** Its name. */
  readonly name: string;
  /** Its line: its place follows from it. */
  readonly irq: number;
  /** Registers, queues and its own state. */
  readonly state: ReturnType<VirtioMmio["save"]>;
}

/** A machine. It survives structured clone. */
export interface MachineSnapshot {
  /** The guest's memory, in chunks: what `VirtAddressSpace.save` yields. */
  readonly memory: readonly Uint8Array[];
  /** Processors and interrupt controllers. */
  readonly machine: MachineState;
  /** The PC around them. */
  readonly platform: {
    /** The serial port. */
    readonly console: ReturnType<Uart["save"]>;
    /** The timer; undefined where the engine has its own. */
    readonly timer: ReturnType<Pit["save"]> | undefined;
    /** The clock. */
    readonly clock: ReturnType<Cmos["save"]>;
    /** The power registers. */
    readonly power: ReturnType<AcpiPower["save"]>;
  };
  /** In the order in which they came. */
  readonly devices: readonly DeviceSnapshot[];
  /** The virtual bus, where there is one. */
  readonly bus: MachineBusState | undefined;
}

/** Stops a machine and writes it down. Its devices serve the guest no more. @internal */
export async function saveMachine(container: Container): Promise<MachineSnapshot> {
  const [machine, memory, rack, bus] = await Promise.all([
    container.getAsync(Service.Machine),
    container.getAsync(Service.Memory),
    container.getAsync(Service.Devices),
    container.getAsync(Service.Bus),
  ]);
  await machine.pause();
  // Devices first: what they have still to tell, they write into the guest's memory.
  const devices = rack.devices
    .filter((each) => each.bus === "virtio")
    .map(({ name, irq, transport }) => ({ name, irq, state: transport.save() }));
  const busState = bus?.save();
  const [console, timer, clock, power] = await Promise.all([
    container.getAsync(Service.Console),
    container.getAsync(Service.Timer),
    container.getAsync(Service.Clock),
    container.getAsync(Service.Power),
  ]);
  const platform = { console: console.save(), timer: timer?.save(), clock: clock.save(), power: power.save() };
  return { platform, devices, bus: busState, machine: await machine.save(), memory: [...memory.save()] };
}

/** Gives a machine that was just made the state of another. @internal */
export async function restoreMachine(
  container: Container,
  { memory: bytes, machine: state, platform, devices, bus }: MachineSnapshot,
): Promise<void> {
  const rack = await container.getAsync(Service.Devices);
  const here = rack.devices.filter((each) => each.bus === "virtio");
  const pairs = devices.map((saved): [AttachedVirtioDevice, DeviceSnapshot] => {
    const found = here.find(({ name, irq }) => name === saved.name && irq === saved.irq);
    if (found === undefined || here.length !== devices.length)
      throw new CompositionError(
        "bad-snapshot",
        `the machine that was saved had ${names(devices)}, this one has ${names(here)}: describe the same devices`,
      );
    return [found, saved];
  });
  const ownBus = await container.getAsync(Service.Bus);
  if ((ownBus === undefined) !== (bus === undefined))
    throw new CompositionError(
      "bad-snapshot",
      "of the machine that was saved and this one only one has a virtual bus: describe the same devices",
    );
  await (await container.getAsync(Service.Memory)).load(bytes);
  // Processors and controllers before devices: lines that are up are so for the controllers that the guest has set up.
  await (await container.getAsync(Service.Machine)).restore(state);
  (await container.getAsync(Service.Console)).restore(platform.console);
  const timer = await container.getAsync(Service.Timer);
  if (platform.timer !== undefined) timer?.restore(platform.timer);
  (await container.getAsync(Service.Clock)).restore(platform.clock);
  (await container.getAsync(Service.Power)).restore(platform.power);
  for (const [attached, saved] of pairs) attached.transport.restore(saved.state);
  if (bus !== undefined) ownBus?.restore(bus);
}

const names = (devices: readonly { readonly name: string }[]): string => devices.map(({ name }) => name).join(", ") || "none";
