/** What a device shows on a bus: what guests find, and connect to. @module */
import type { ErrnoName } from "../errno/errno.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusConnection } from "./vbus-connection.ts";

/** What stands behind an interface. */
export interface VbusDeviceInterfaceOps {
  /**
   * A guest connects.
   *
   * @param memctx - the guest's memory
   * @param version - of the ABI that the guest speaks
   * @returns the connection, or why there is none: `EINVAL` for a version that it doesn't know, say
   */
  connect(memctx: VbusMemctx, version: number): VbusConnection | ErrnoName;
  /** It is on no bus any more. */
  release?(): void;
}

/** An interface. */
export class VbusDeviceInterface {
  /** For people. */
  readonly name: string;
  /** The ABI, by name: a guest's driver is found by it. */
  readonly type: string;
  /** What stands behind it. */
  readonly ops: VbusDeviceInterfaceOps;

  constructor(name: string, type: string, ops: VbusDeviceInterfaceOps) {
    this.name = name;
    this.type = type;
    this.ops = ops;
  }
}
