/** How a virtio device becomes a plug-in. @module */
import type { VirtioDevice } from "../device/virtio-device.ts";
import { VirtioError } from "../error/virtio-error.ts";
import { isQueueSize, MAX_QUEUE_SIZE } from "../queue/queue-config.ts";
import { DefinedDevice } from "./defined-device.ts";
import type { DeviceParts, DeviceSurroundings, VirtioPlugin } from "./device-definition.ts";

/** The largest number of a device. */
const MOST_TYPE = 0xffff;

/** A device whose machines share all that it has. */
export interface DeviceDefinition<Q extends string = string> extends DeviceParts<Q> {
  /** For people. */
  readonly name: string;
}

/** A device that has something of its own in each machine: a file, a count. */
export interface DeviceFactory<Q extends string = string, S extends DeviceSurroundings = DeviceSurroundings> {
  /** For people. */
  readonly name: string;
  /** Called for each machine. @returns the parts, or a device that somebody wrote as a class */
  create(surroundings: S): DeviceParts<Q> | VirtioDevice;
}

/**
 * Defines a device: what this returns goes into a machine's description, and is what `virtspace serve` takes.
 *
 * @example
 * ```ts
 * import { defineDevice, VirtioDeviceType } from "@virtspace/virtio";
 *
 * export default defineDevice({
 *   name: "entropy",
 *   type: VirtioDeviceType.Entropy,
 *   queues: [{ name: "requests", size: 64 }],
 *   start: ({ queues, random }) => queues.requests.serve((chain) => chain.fill(random)),
 * });
 * ```
 *
 * @throws {@link VirtioError} `invalid-argument` where what is given can't be a device; its `create` throws the same later
 */
export function defineDevice<const Q extends string>(definition: DeviceDefinition<Q>): VirtioPlugin;
export function defineDevice<const Q extends string, S extends DeviceSurroundings>(factory: DeviceFactory<Q, S>): VirtioPlugin;
export function defineDevice(given: DeviceDefinition | DeviceFactory): VirtioPlugin {
  const { name } = given;
  if (typeof name !== "string" || name === "") throw bad("a device", "it has no name: give name");
  if ("create" in given) return { bus: "virtio", name, create: (surroundings) => made(name, given.create(surroundings), surroundings) };
  requireParts(name, given);
  return { bus: "virtio", name, create: (surroundings) => new DefinedDevice(name, given, surroundings) };
}

function made(name: string, given: DeviceParts | VirtioDevice, surroundings: DeviceSurroundings): VirtioDevice {
  if (typeof given !== "object" || given === null) throw bad(name, "its create returns nothing: return its parts");
  if ("startQueue" in given) return given;
  requireParts(name, given);
  return new DefinedDevice(name, given, surroundings);
}

function requireParts(name: string, { type, queues, start }: DeviceParts): void {
  if (!Number.isInteger(type) || type < 1 || type > MOST_TYPE) throw bad(name, `its type is ${type}: give a number of VirtioDeviceType`);
  if (!Array.isArray(queues)) throw bad(name, 'it has no queues: give queues: [{ name: "requests", size: 64 }]');
  const names = new Set<string>();
  for (const { name: queue, size } of queues) {
    if (typeof queue !== "string" || queue === "" || names.has(queue))
      throw bad(name, `a queue is named "${queue}": give each a name of its own`);
    names.add(queue);
    if (!isQueueSize(size, false))
      throw bad(name, `its queue "${queue}" has ${size} descriptors: give a power of two, at most ${MAX_QUEUE_SIZE}`);
  }
  if (typeof start !== "function") throw bad(name, "it can't start: give start");
}

function bad(name: string, why: string): VirtioError {
  return new VirtioError("invalid-argument", `${name} is no device: ${why}`, { device: name });
}
