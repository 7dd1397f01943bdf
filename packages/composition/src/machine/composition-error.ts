/** What goes wrong when a machine is put together. @module */

/**
 * - `bad-description`: what should describe a machine doesn't
 * - `bad-binding`: a service is bound to nothing, or to what needs it itself
 * - `no-line`: the machine has no interrupt line left for a device
 * - `no-bus`: a device of the virtual bus, and a machine without one
 * - `no-device`: the device is not in the machine
 * - `bad-snapshot`: a machine that was saved has other devices than this one
 * - `device-failed`: a plug-in threw, or made no device
 * - `device-stuck`: a plug-in did not stop in time
 */
export type CompositionErrorCode =
  | "bad-description"
  | "bad-binding"
  | "no-line"
  | "no-bus"
  | "no-device"
  | "bad-snapshot"
  | "device-failed"
  | "device-stuck";

/** An error of this package. What the parts say for themselves stays theirs. */
export class CompositionError extends Error {
  /** The class. */
  override readonly name = "CompositionError";
  /** Which kind. */
  readonly code: CompositionErrorCode;

  constructor(code: CompositionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: CompositionErrorCode): value is CompositionError {
    return value instanceof Error && value.name === "CompositionError" && (code === undefined || (value as CompositionError).code === code);
  }
}
