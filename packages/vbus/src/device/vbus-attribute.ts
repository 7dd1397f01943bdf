/** What people see and set of a device, as files of configfs and sysfs showed it. @module */
import type { ErrnoName } from "../errno/errno.ts";

/** An attribute: a word a line. */
export interface VbusAttribute {
  /** Its value. */
  show(): string;
  /** Sets it; without this it can't be set. @returns 0, or why not */
  store?(value: string): 0 | ErrnoName;
}
