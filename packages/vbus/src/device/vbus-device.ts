/** A device, which is made without a bus, and is on one at the most. @module */
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import { ReferenceCount } from "../memory/reference-count.ts";
import type { VbusAttribute } from "./vbus-attribute.ts";
import type { VbusDeviceInterface } from "./vbus-device-interface.ts";

/** Where a device shows its interfaces. */
export interface VbusPort {
  /** Puts an interface on the bus. @returns its number; `ENOSPC` where there is none left */
  add(shown: VbusDeviceInterface): number | ErrnoName;
  /** Takes it off. */
  remove(shown: VbusDeviceInterface): void;
}

/** What stands behind a device. */
export interface VbusDeviceOps {
  /** It is put on a bus. @returns 0, or why not */
  busConnect(port: VbusPort): 0 | ErrnoName;
  /** It is taken off: it takes its interfaces off, too. */
  busDisconnect(port: VbusPort): void;
  /** It is gone. */
  release?(): void;
}

/** A device. */
export class VbusDevice {
  /** Its class's name. */
  readonly type: string;
  /** What people see and set. */
  readonly attributes: ReadonlyMap<string, VbusAttribute>;
  readonly #ops: VbusDeviceOps;
  readonly #references: ReferenceCount;
  #port: VbusPort | undefined;

  constructor(type: string, ops: VbusDeviceOps, attributes: Readonly<Record<string, VbusAttribute>> = {}) {
    this.type = type;
    this.attributes = new Map(Object.entries(attributes));
    this.#ops = ops;
    this.#references = new ReferenceCount(`the device of type "${type}"`, () => ops.release?.());
  }

  /** Whether it is on a bus. */
  get connected(): boolean {
    return this.#port !== undefined;
  }

  /** Puts it on a bus, for the bus. @returns 0; `EBUSY` where it is on one already; what it says itself @internal */
  connect(port: VbusPort): 0 | ErrnoName {
    if (this.#port !== undefined) return "EBUSY";
    this.get();
    this.#port = port;
    const result = this.#ops.busConnect(port);
    if (isErrno(result)) {
      this.#port = undefined;
      this.put();
    }
    return result;
  }

  /** Takes it off its bus, for the bus. @internal */
  disconnect(port: VbusPort): void {
    if (this.#port !== port) throw new VbusError("invalid-argument", `the device of type "${this.type}" is not on this bus`);
    this.#port = undefined;
    this.#ops.busDisconnect(port);
    this.put();
  }

  /** Takes a reference. @throws {@link VbusError} `released` */
  get(): this {
    this.#references.get();
    return this;
  }

  /** Gives one back. @throws {@link VbusError} `released` */
  put(): void {
    this.#references.put();
  }
}
