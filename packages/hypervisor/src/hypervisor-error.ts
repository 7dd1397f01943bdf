/** What goes wrong between a composer and an engine. @module */

/**
 * - `unavailable`: this host hasn't got what the engine needs; the message says what to do
 * - `unsupported`: the engine can't do that
 * - `unsuitable-memory`: memory that this engine's guests can't run from
 * - `out-of-memory`: the host has not that much
 * - `invalid-argument`: a value makes no sense
 * - `running`: the machine has to be paused first
 * - `ended`: the guest came to an end
 * - `foreign-state`: a state that another engine, another version or a machine of another shape saved
 * - `closed`: the machine was disposed
 */
export type HypervisorErrorCode =
  | "unavailable"
  | "unsupported"
  | "unsuitable-memory"
  | "out-of-memory"
  | "invalid-argument"
  | "running"
  | "ended"
  | "foreign-state"
  | "closed";

/** An error of an engine, the same for all of them. */
export class HypervisorError extends Error {
  /** The class. */
  override readonly name: string = "HypervisorError";
  /** Which kind. */
  readonly code: HypervisorErrorCode;

  constructor(code: HypervisorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether a value is an error of an engine, with that code where one is given. */
  static is(value: unknown, code?: HypervisorErrorCode): value is HypervisorError {
    return value instanceof HypervisorError && (code === undefined || value.code === code);
  }
}
