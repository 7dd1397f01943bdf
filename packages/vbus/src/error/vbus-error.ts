/** The error of this package: what an author did wrong. What a guest does wrong is an errno. @module */

/**
 * - `busy`: the device is on a bus already
 * - `invalid-argument`: a value makes no sense
 * - `released`: the object is gone
 * - `device-failed`: a device's code threw where it should have answered
 * - `refused`: a command of a script was; the message has its errno
 * - `bad-state`: what should be a saved state is none
 * - `state-mismatch`: a saved state wants what is not here
 */
export type VbusErrorCode = "busy" | "invalid-argument" | "released" | "device-failed" | "refused" | "bad-state" | "state-mismatch";

/** An author's mistake; the message names the remedy. */
export class VbusError extends Error {
  /** The class. */
  override readonly name = "VbusError";
  /** Which kind. */
  readonly code: VbusErrorCode;

  constructor(code: VbusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: VbusErrorCode): value is VbusError {
    return value instanceof Error && value.name === "VbusError" && (code === undefined || (value as VbusError).code === code);
  }
}
