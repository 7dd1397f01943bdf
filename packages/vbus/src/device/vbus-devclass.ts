/** Kinds of devices, by name. @module */
import type { VbusDevice } from "./vbus-device.ts";

/** A kind of device: a factory. */
export interface VbusDevclass {
  /** Its name: what is written to a new device's `type`. */
  readonly name: string;
  /** Makes a device, on no bus yet; whoever asked for it has its first reference. @param name - for people */
  create(name: string): VbusDevice;
}
