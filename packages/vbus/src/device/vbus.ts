/** A bus: interfaces by number, and who is told of their coming and going. @module */
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import { BUS_STATE, type BusState, requireShape } from "../state/vbus-state.ts";
import type { VbusDevice, VbusPort } from "./vbus-device.ts";
import type { VbusDeviceInterface } from "./vbus-device-interface.ts";

/** Numbers are never given twice; this is the last. */
const LAST_ID = 0xffff_ffff;

/** What is on a bus. */
export interface VbusEntry {
  /** Its number. */
  readonly id: number;
  /** The interface. */
  readonly shown: VbusDeviceInterface;
  /** Whose it is. */
  readonly device: VbusDevice;
}

/** An interface came, or went. */
export interface VbusEvent extends VbusEntry {
  /** Which. */
  readonly kind: "devadd" | "devdrop";
}

/** What a bus does wrong is its devices' doing: told to the bus's owner. */
export interface VbusFault {
  /** The interface or listener. */
  readonly name: string;
  /** What it threw. */
  readonly cause: unknown;
}

/** How a bus is made. */
export interface VbusOptions {
  /** For people. */
  readonly name: string;
  /** Told of what devices' code throws; guests read `EIO` then. */
  readonly onFault?: (fault: VbusFault) => void;
  /** The last number that it gives: for tests. */
  readonly lastId?: number;
}

/** A bus. */
export class Vbus {
  /** For people. */
  readonly name: string;
  readonly #entries = new Map<number, VbusEntry>();
  readonly #ports = new Map<VbusDevice, VbusPort>();
  readonly #listeners = new Set<(event: VbusEvent) => void>();
  readonly #watchers = new Set<(event: VbusEvent) => void>();
  readonly #onFault: (fault: VbusFault) => void;
  readonly #lastId: number;
  #nextId = 1;

  constructor({ name, onFault = () => {}, lastId = LAST_ID }: VbusOptions) {
    this.name = name;
    this.#onFault = onFault;
    this.#lastId = lastId;
  }

  /** What is on it, by number. */
  get entries(): readonly VbusEntry[] {
    return [...this.#entries.values()];
  }

  /** Its devices. */
  get devices(): readonly VbusDevice[] {
    return [...this.#ports.keys()];
  }

  /** The entry of a number. */
  find(id: number): VbusEntry | undefined {
    return this.#entries.get(id);
  }

  /** Puts a device on the bus. @returns 0; `EBUSY` where it is on one already; `ENOSPC`, and what the device says */
  connect(device: VbusDevice): 0 | ErrnoName {
    const port: VbusPort = { add: (shown) => this.#add(shown, device), remove: (shown) => this.#remove(shown) };
    const result = this.guard(device.type, () => device.connect(port));
    if (!isErrno(result)) this.#ports.set(device, port);
    return result;
  }

  /** Takes a device off: its interfaces go, and guests are told. One that is not on it stays where it is. */
  disconnect(device: VbusDevice): void {
    const port = this.#ports.get(device);
    if (port === undefined) return;
    this.#ports.delete(device);
    this.guard(device.type, () => {
      device.disconnect(port);
      return 0;
    });
  }

  /**
   * Tells guests of interfaces that come and go. Those that are there are told first.
   *
   * @param known - numbers that the listener was told of elsewhere: they are told only where they are gone
   */
  listen(listener: (event: VbusEvent) => void, known: ReadonlySet<number> = new Set()): Disposable {
    this.#listeners.add(listener);
    for (const entry of this.entries) if (!known.has(entry.id)) listener({ kind: "devadd", ...entry });
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Tells people, who keep no numbers: of what comes and goes from now on. */
  watch(watcher: (event: VbusEvent) => void): Disposable {
    this.#watchers.add(watcher);
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }

  /** Runs a device's code for a guest: what it throws is `EIO`. @internal */
  guard<T>(name: string, run: () => T): T | ErrnoName {
    try {
      return run();
    } catch (cause) {
      this.#onFault({ name, cause });
      return "EIO";
    }
  }

  /** What is on it, for where its guest goes. */
  save(): BusState {
    const entries = this.entries.map(({ id, shown: { name, type }, device: { attributes } }) => {
      const settable = [...attributes].filter(([, { store }]) => store !== undefined);
      return { id, name, type, attributes: Object.fromEntries(settable.map(([attribute, { show }]) => [attribute, show()])) };
    });
    return { nextId: this.#nextId, entries };
  }

  /**
   * Gives its interfaces the numbers that a guest from elsewhere knows, and its devices what was set there. What was there and is not here
   * is not there for the guest either; what is only here gets new numbers.
   *
   * @throws {@link VbusError} `bad-state`; `busy` where somebody has been told of numbers already; `state-mismatch` for a value that a device refuses
   */
  restore(state: unknown): void {
    const { nextId, entries } = requireShape<BusState>(state, BUS_STATE, "bus");
    if (this.#listeners.size > 0) throw new VbusError("busy", `"${this.name}" has guests: restore it before they connect`);
    const ids = new Set(entries.map(({ id }) => id));
    if (ids.size !== entries.length || entries.some(({ id }) => id < 1 || id >= nextId))
      throw new VbusError("bad-state", "the numbers of a bus's interfaces make no sense: give what save returned, unchanged");
    const here = this.entries;
    const taken = new Set<VbusEntry>();
    const renumbered = entries.flatMap(({ id, name, type, attributes }) => {
      const found = here.find((each) => !taken.has(each) && each.shown.name === name && each.shown.type === type);
      if (found === undefined) return [];
      taken.add(found);
      this.#set(found, attributes);
      return [{ ...found, id }];
    });
    let next = nextId;
    const others = here.filter((each) => !taken.has(each)).map((each) => ({ ...each, id: next++ }));
    this.#entries.clear();
    for (const entry of [...renumbered, ...others]) this.#entries.set(entry.id, entry);
    this.#nextId = next;
  }

  #set({ shown, device }: VbusEntry, attributes: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      const attribute = device.attributes.get(name);
      if (attribute?.show() === value) continue;
      const result = typeof value === "string" ? (attribute?.store?.(value) ?? "ENOENT") : "EINVAL";
      if (isErrno(result))
        throw new VbusError(
          "state-mismatch",
          `${shown.name} takes no ${name} of ${String(value)} (${result}): give it a device like the one it had`,
        );
    }
  }

  #add(shown: VbusDeviceInterface, device: VbusDevice): number | ErrnoName {
    if (this.#nextId > this.#lastId) return "ENOSPC";
    const entry = { id: this.#nextId++, shown, device };
    this.#entries.set(entry.id, entry);
    this.#tell({ kind: "devadd", ...entry });
    return entry.id;
  }

  #remove(shown: VbusDeviceInterface): void {
    const entry = this.entries.find((each) => each.shown === shown);
    if (entry === undefined) return;
    this.#entries.delete(entry.id);
    this.#tell({ kind: "devdrop", ...entry });
    this.guard(shown.name, () => shown.ops.release?.());
  }

  #tell(event: VbusEvent): void {
    for (const listener of [...this.#listeners, ...this.#watchers]) this.guard("a listener", () => listener(event));
  }
}
