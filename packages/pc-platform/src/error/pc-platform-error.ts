/** What goes wrong when a PC is put together. What its guest does never throws. @module */

/**
 * - `bad-image`: a file that is no image of its kind, or one that was cut or altered
 * - `no-room`: the guest has no memory where the image wants to be
 * - `foreign-state`: a state that is no device's of this kind
 */
export type PcPlatformErrorCode = "bad-image" | "no-room" | "foreign-state";

/** An error of this package. */
export class PcPlatformError extends Error {
  /** The class. */
  override readonly name = "PcPlatformError";
  /** Which kind. */
  readonly code: PcPlatformErrorCode;

  constructor(code: PcPlatformErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: PcPlatformErrorCode): value is PcPlatformError {
    return value instanceof PcPlatformError && (code === undefined || value.code === code);
  }
}
