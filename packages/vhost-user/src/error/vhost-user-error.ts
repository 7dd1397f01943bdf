/** What goes wrong with a front-end. @module */

/**
 * - `bad-header`: a version, a flag or a size that no message has
 * - `unknown-request`: nobody knows the message
 * - `bad-payload`: it has another length than its kind, or a number in it makes no sense
 * - `bad-fds`: too few file descriptors beside it, or too many, or of the wrong type
 * - `not-negotiated`: its feature was not
 * - `out-of-order`: before SET_OWNER, or while a ring runs that it can't be changed under
 * - `bad-memory`: a table of memory that overlaps, is empty, or can't be mapped
 * - `bad-ring`: a ring that is not there, or whose addresses are nowhere
 * - `cut-off`: the peer went away in the middle of a message
 * - `state-failed`: the device's state could not be written or taken
 * - `bad-journal`: the directory that is to keep where rings stand is not this user's own
 * - `refused`: the peer's user is not the one that is served
 */
export type VhostUserErrorCode =
  | "bad-header"
  | "unknown-request"
  | "bad-payload"
  | "bad-fds"
  | "not-negotiated"
  | "out-of-order"
  | "bad-memory"
  | "bad-ring"
  | "cut-off"
  | "state-failed"
  | "bad-journal"
  | "refused";

/** An error of this package. What a peer does wrong ends in the log as one, or as the reply it asked for; none is thrown at a caller. */
export class VhostUserError extends Error {
  /** The class. */
  override readonly name = "VhostUserError";
  /** Which kind. */
  readonly code: VhostUserErrorCode;

  constructor(code: VhostUserErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: VhostUserErrorCode): value is VhostUserError {
    return value instanceof VhostUserError && (code === undefined || value.code === code);
  }
}
