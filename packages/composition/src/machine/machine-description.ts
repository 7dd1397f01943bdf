/** What a machine is made of, as an author writes it. @module */
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
  /** Virtio devices, in the order of their addresses. */
  readonly devices?: readonly MachineDevice[];
  /** The guest. */
  readonly boot: BootChoice;
}

const PARTS = { name: "string", memory: "number", vcpus: "number", hypervisor: "object", devices: "object", boot: "object" } as const;
const OPTIONAL = new Set(["name", "vcpus", "devices"]);

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
    if (typeof given !== kind || given === null)
      throw bad(`its ${part} is ${given === undefined ? "missing" : "of another kind"}: give ${EXAMPLES[part as keyof typeof PARTS]}`);
  }
  for (const part of Object.keys(description))
    if (!(part in PARTS)) throw bad(`nobody knows its "${part}": it has ${Object.keys(PARTS).join(", ")}`);
  const { hypervisor, boot, devices } = value as MachineDescription;
  if (typeof hypervisor.open !== "function") throw bad(`its hypervisor can't be opened: give ${EXAMPLES.hypervisor}`);
  if (typeof boot.load !== "function") throw bad(`its boot loads nothing: give ${EXAMPLES.boot}`);
  if (devices !== undefined && !Array.isArray(devices)) throw bad(`its devices are no list: give ${EXAMPLES.devices}`);
  devices?.forEach((device, index) => {
    if (typeof device?.create !== "function") throw bad(`device ${index} can't be made: give ${EXAMPLES.devices}`);
  });
  return value as MachineDescription;
}

const EXAMPLES = {
  name: '"guest"',
  memory: "64 * MiB",
  vcpus: "1",
  hypervisor: "v86() or kvm()",
  devices: "[virtioNet({ ... })]",
  boot: "multiboot(image)",
} as const;

function bad(why: string): CompositionError {
  return new CompositionError("bad-description", `this is no machine: ${why}`);
}
