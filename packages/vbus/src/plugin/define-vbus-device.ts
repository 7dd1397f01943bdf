/** How a device of a bus becomes a plug-in. @module */
import { VbusConnection, type VbusConnectionOps } from "../device/vbus-connection.ts";
import { VbusDevice } from "../device/vbus-device.ts";
import { VbusDeviceInterface } from "../device/vbus-device-interface.ts";
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";

/** What a device is made with. */
export interface VbusDeviceSurroundings {
  /** The name of the machine that it is for. */
  readonly machine: string;
  /** Fills bytes with numbers that nobody can foretell. */
  readonly random: (bytes: Uint8Array) => void;
}

/** A kind of device, as a package exports it: whoever has guests has it made for each of them. */
export interface VbusPlugin {
  /** What carries it. */
  readonly bus: "vbus";
  /** For people: messages and holders show it. */
  readonly name: string;
  /** Makes one, on no bus yet. */
  create(surroundings: VbusDeviceSurroundings): VbusDevice;
}

/** What a device of one interface is made of. */
export interface VbusDeviceParts {
  /** The ABI, by name: a guest's driver is found by it. */
  readonly type: string;
  /** Of the ABI; 1 unless given. A guest that speaks another one is refused. */
  readonly version?: number;
  /** A guest opens it. @returns what stands behind the connection, or why there is none */
  connect(memctx: VbusMemctx): VbusConnectionOps | ErrnoName;
  /** It leaves its machine for good. */
  stop?(): void;
}

/** A device whose machines share all that it has. */
export interface VbusDeviceDefinition extends VbusDeviceParts {
  /** For people. */
  readonly name: string;
}

/** A device that has something of its own in each machine. */
export interface VbusDeviceFactory<S extends VbusDeviceSurroundings = VbusDeviceSurroundings> {
  /** For people. */
  readonly name: string;
  /** Called for each machine. @returns its parts, or a device that was made otherwise */
  create(surroundings: S): VbusDeviceParts | VbusDevice;
}

/**
 * Defines a device of a bus: what this returns goes into a machine's description.
 *
 * @example
 * ```ts
 * import { defineVbusDevice } from "@virtspace/vbus";
 *
 * export default defineVbusDevice({
 *   name: "adder",
 *   type: "adder",
 *   connect: () => ({ call: (func, data) => func + data, shm: () => "ENOSYS", close: () => {} }),
 * });
 * ```
 *
 * @throws {@link VbusError} `invalid-argument` where what is given can't be a device; its `create` throws the same later
 */
export function defineVbusDevice<S extends VbusDeviceSurroundings>(given: VbusDeviceDefinition | VbusDeviceFactory<S>): VbusPlugin;
export function defineVbusDevice(given: VbusDeviceDefinition | VbusDeviceFactory): VbusPlugin {
  const { name } = given;
  if (typeof name !== "string" || name === "") throw bad("a device", "it has no name: give name");
  if ("create" in given) {
    return {
      bus: "vbus",
      name,
      create: (surroundings) => {
        const made = given.create(surroundings);
        return made instanceof VbusDevice ? made : deviceOf(name, made);
      },
    };
  }
  requireParts(name, given);
  return { bus: "vbus", name, create: () => deviceOf(name, given) };
}

function deviceOf(name: string, parts: VbusDeviceParts): VbusDevice {
  requireParts(name, parts);
  const { type, version: spoken = 1 } = parts;
  const shown = new VbusDeviceInterface(name, type, {
    connect: (memctx, version) => {
      if (version !== spoken) return "EINVAL";
      const ops = parts.connect(memctx);
      return isErrno(ops) ? ops : new VbusConnection(ops);
    },
  });
  return new VbusDevice(name, {
    busConnect: (port) => {
      const id = port.add(shown);
      return isErrno(id) ? id : 0;
    },
    busDisconnect: (port) => port.remove(shown),
    release: () => parts.stop?.(),
  });
}

function requireParts(name: string, parts: VbusDeviceParts): void {
  if (typeof parts !== "object" || parts === null) throw bad(name, "its create returns nothing: return its parts");
  if (typeof parts.type !== "string" || parts.type === "") throw bad(name, "it has no type: give the name of its ABI");
  if (typeof parts.connect !== "function") throw bad(name, "nobody can open it: give connect");
}

function bad(name: string, why: string): VbusError {
  return new VbusError("invalid-argument", `${name} is no device of a bus: ${why}`);
}
