/** What a machine is made of, as an author writes it. @module */

import type { VbusAdmin } from "@virtspace/vbus";
import type { RegionSpec } from "@virtspace/virt-address-space";
import type { ContainerModule } from "inversify";
import type { BootChoice } from "../boot/boot-choice.ts";
import type { MachineDevice } from "../device/machine-device.ts";
import type { HypervisorChoice } from "../hypervisor/hypervisor-choice.ts";
import { CompositionError } from "./composition-error.ts";

/** A machine. */
export interface MachineDescription {
  /** For people; "machine" unless given. */
  readonly name?: string;
  /** Bytes of RAM, from address 0. */
  readonly memory: number;
  /** How many processors it has; 1 unless given. */
  readonly vcpus?: number;
  /** What runs it. */
  readonly hypervisor: HypervisorChoice;
  /** Devices, in the order of their addresses and lines. */
  readonly devices?: readonly MachineDevice[];
  /**
   * Whether it has a virtual bus; only where a device wants one, unless given. A function is given the tree of it, to make devices and set
   * attributes before the guest begins.
   */
  readonly vbus?: boolean | ((admin: VbusAdmin) => void);
  /** What its memory has besides RAM: ROM, memory that is shared with others, I/O windows. */
  readonly regions?: readonly RegionSpec[];
  /** Bindings of one's own, loaded behind the machine's: they may take the place of any part. */
  readonly modules?: readonly ContainerModule[];
  /** How long a plug-in may take to stop, milliseconds; 5000 unless given. */
  readonly stopMilliseconds?: number;
  /** The guest. */
  readonly boot: BootChoice;
}

const PARTS = {
  name: "string",
  memory: "number",
  vcpus: "number",
  hypervisor: "object",
  devices: "object",
  vbus: "any",
  regions: "object",
  modules: "object",
  stopMilliseconds: "number",
  boot: "object",
} as const;
const OPTIONAL = new Set(["name", "vcpus", "devices", "vbus", "regions", "modules", "stopMilliseconds"]);
/** What carries a device. */
const BUSES: ReadonlySet<unknown> = new Set(["virtio", "vbus"]);

/**
 * Describes a machine: what this returns is what `virtspace run` takes.
 *
 * @throws {@link CompositionError} `bad-description`
 */
export function defineMachine(description: MachineDescription): MachineDescription {
  return requireDescription(description);
}

/** Sees to it that a value describes a machine. @throws {@link CompositionError} `bad-description` */
export function requireDescription(value: unknown): MachineDescription {
  if (typeof value !== "object" || value === null) throw bad("it is no object: give defineMachine({ ... })");
  const description = value as Partial<Record<string, unknown>>;
  for (const [part, kind] of Object.entries(PARTS)) {
    const given = description[part];
    if (given === undefined && OPTIONAL.has(part)) continue;
    if ((kind !== "any" && typeof given !== kind) || given === null)
      throw bad(`its ${part} is ${given === undefined ? "missing" : "of another kind"}: give ${EXAMPLES[part as keyof typeof PARTS]}`);
  }
  for (const part of Object.keys(description))
    if (!(part in PARTS)) throw bad(`nobody knows its "${part}": it has ${Object.keys(PARTS).join(", ")}`);
  const { hypervisor, boot, devices, vbus } = value as MachineDescription;
  if (typeof hypervisor.open !== "function") throw bad(`its hypervisor can't be opened: give ${EXAMPLES.hypervisor}`);
  if (typeof boot.load !== "function") throw bad(`its boot loads nothing: give ${EXAMPLES.boot}`);
  if (vbus !== undefined && typeof vbus !== "boolean" && typeof vbus !== "function")
    throw bad(`its vbus is of another kind: give ${EXAMPLES.vbus}`);
  if (devices !== undefined && !Array.isArray(devices)) throw bad(`its devices are no list: give ${EXAMPLES.devices}`);
  devices?.forEach((device, index) => {
    if (!BUSES.has(device?.bus)) throw bad(`device ${index} is none: give what defineDevice, defineVbusDevice or injected returns`);
  });
  return value as MachineDescription;
}

const EXAMPLES = {
  name: '"guest"',
  memory: "64 * MiB",
  vcpus: "1",
  hypervisor: "v86() or kvm()",
  devices: "[virtioNet({ ... })]",
  vbus: "true, or a function of its tree",
  regions: '[{ kind: "rom", name: "rom", base: gpa(0xf000_0000), memory }]',
  modules: "[new ContainerModule(...)]",
  stopMilliseconds: "5000",
  boot: "multiboot(image)",
} as const;

function bad(why: string): CompositionError {
  return new CompositionError("bad-description", `this is no machine: ${why}`);
}
