/** A bus: interfaces by number, and who is told of their coming and going. @module */
import { type ErrnoName, isErrno } from "../errno/errno.ts";
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
    const port: VbusPort = { add: (shown) => this.#add(shown), remove: (shown) => this.#remove(shown) };
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

  /** Tells of interfaces that come and go. Those that are there are told first. */
  listen(listener: (event: VbusEvent) => void): Disposable {
    this.#listeners.add(listener);
    for (const entry of this.entries) listener({ kind: "devadd", ...entry });
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
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

  #add(shown: VbusDeviceInterface): number | ErrnoName {
    if (this.#nextId > this.#lastId) return "ENOSPC";
    const entry = { id: this.#nextId++, shown };
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
    for (const listener of [...this.#listeners]) this.guard("a listener", () => listener(event));
  }
}
