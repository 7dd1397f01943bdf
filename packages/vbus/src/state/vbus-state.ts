/**
 * What of a bus moves with its guest, as plain values that JSON can hold. Rings, signals and their positions are in the guest's memory and
 * move with it; this is what only the host knows: handles, what was agreed upon, and events that had no room yet.
 *
 * @module
 */
import { VbusError } from "../error/vbus-error.ts";

/** What was on a bus, by the numbers that guests know. */
export interface BusState {
  /** The next number. */
  readonly nextId: number;
  /** Interfaces, in the order of their coming. */
  readonly entries: readonly EntryState[];
}

/** An interface on a bus, and what people set of its device. */
export interface EntryState {
  /** Its number. */
  readonly id: number;
  /** Of its device. */
  readonly name: string;
  /** What drivers find it by. */
  readonly type: string;
  /** Values of the device's attributes that can be set. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Shared memory that a device has. */
export interface SharedState {
  /** The driver's number for it. */
  readonly id: number;
  /** Where it is in the guest. */
  readonly ptr: number;
  /** Bytes. */
  readonly len: number;
  /** As the driver gave them. */
  readonly flags: number;
  /** Its signal, where it has one. */
  readonly signal?: SignalState | undefined;
}

/** A signal by its handle. */
export interface SignalState {
  /** The handle. */
  readonly handle: number;
  /** Where in its memory it is, bytes. */
  readonly offset: number;
  /** The priority of its events. */
  readonly prio: number;
  /** The guest's word for it, decimal. */
  readonly cookie: string;
}

/** A device that a guest has open. */
export interface OpenDeviceState {
  /** The handle. */
  readonly handle: number;
  /** The interface's number. */
  readonly id: number;
  /** What was agreed on. */
  readonly version: number;
  /** In the order in which it was given. */
  readonly memory: readonly SharedState[];
  /** The device's own. */
  readonly state?: unknown;
}

/** What a guest has open. */
export interface ClientState {
  /** The next handle. */
  readonly nextHandle: number;
  /** By handle. */
  readonly devices: readonly OpenDeviceState[];
}

/** An event that waits for room. */
export interface EventState {
  /** Which event. */
  readonly id: number;
  /** The device's number, or the guest's word for a signal, decimal. */
  readonly subject: string;
  /** What drivers find a device that came by. */
  readonly type?: string | undefined;
}

/** An event queue: where it is, and what it had no room for. */
export interface EventQueueState {
  /** Descriptors. */
  readonly count: number;
  /** Where the ring is in the guest. */
  readonly ring: number;
  /** Where its events' bytes are in the guest. */
  readonly data: number;
  /** What it had no room for. */
  readonly backlog: readonly EventState[];
}

/** A processor's descriptor. */
export interface FastcallState {
  /** Which processor's. */
  readonly channel: number;
  /** Where it is in the guest. */
  readonly address: number;
}

/** A bridge. */
export interface BridgeState {
  /** Whether the guest has agreed on a version. */
  readonly negotiated: boolean;
  /** By priority. */
  readonly queues: readonly EventQueueState[];
  /** Those that the guest registered. */
  readonly fastcalls: readonly FastcallState[];
  /** Interfaces that the guest was told of, or will be by an event that waits. */
  readonly known: readonly number[];
  /** What the guest has open. */
  readonly client: ClientState;
}

/**
 * Checks that a value has the shape of a state: it comes from a file.
 *
 * @throws {@link VbusError} `bad-state`
 */
export function requireShape<T>(value: unknown, shape: Shape, what: string): T {
  const where = misfit(value, shape, what);
  if (where !== undefined) throw new VbusError("bad-state", `this is no state of a bus: ${where}; give what save returned, unchanged`);
  return value as T;
}

/** What a value has to be: a kind, a list of a shape, or fields, whose names end in "?" where they may be missing. */
export type Shape = "count" | "text" | "flag" | "word" | "any" | readonly [Shape] | { readonly [field: string]: Shape };

const COUNTED = Number.MAX_SAFE_INTEGER;
/** More than any state has of anything. */
const MOST = 65_536;

function misfit(value: unknown, shape: Shape, where: string): string | undefined {
  if (Array.isArray(shape)) {
    if (!Array.isArray(value) || value.length > MOST) return `${where} is no list`;
    return firstOf(value.map((each, i) => () => misfit(each, shape[0] as Shape, `${where}[${i}]`)));
  }
  if (typeof shape === "object") {
    if (typeof value !== "object" || value === null) return `${where} is no object`;
    return firstOf(
      Object.entries(shape as { readonly [field: string]: Shape }).map(([field, inner]) => () => {
        const name = field.replace(/\?$/, "");
        const found = (value as Readonly<Record<string, unknown>>)[name];
        return found === undefined && name !== field ? undefined : misfit(found, inner, `${where}.${name}`);
      }),
    );
  }
  return fits(value, shape) ? undefined : `${where} is no ${shape}`;
}

function fits(value: unknown, kind: Shape): boolean {
  switch (kind) {
    case "count":
      return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= COUNTED;
    case "text":
      return typeof value === "string";
    case "flag":
      return typeof value === "boolean";
    case "word":
      return typeof value === "string" && /^\d{1,20}$/.test(value) && BigInt(value) < 2n ** 64n;
    default:
      return true;
  }
}

function firstOf(checks: readonly (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const found = check();
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Of {@link BusState}. */
export const BUS_STATE: Shape = { nextId: "count", entries: [{ id: "count", name: "text", type: "text", attributes: "any" }] };
const SIGNAL: Shape = { handle: "count", offset: "count", prio: "count", cookie: "word" };
const SHARED: Shape = { id: "count", ptr: "count", len: "count", flags: "count", "signal?": SIGNAL };
const CLIENT: Shape = {
  nextHandle: "count",
  devices: [{ handle: "count", id: "count", version: "count", memory: [SHARED], "state?": "any" }],
};
const EVENT: Shape = { id: "count", subject: "word", "type?": "text" };
/** Of {@link BridgeState}. */
export const BRIDGE_STATE: Shape = {
  negotiated: "flag",
  queues: [{ count: "count", ring: "count", data: "count", backlog: [EVENT] }],
  fastcalls: [{ channel: "count", address: "count" }],
  known: ["count"],
  client: CLIENT,
};
