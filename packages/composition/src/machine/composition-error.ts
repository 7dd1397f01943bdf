/** What goes wrong when a machine is put together. @module */

/**
 * - `bad-description`: what should describe a machine doesn't
 * - `no-line`: the machine has no interrupt line left for a device
 */
export type CompositionErrorCode = "bad-description" | "no-line";

/** An error of this package. What the parts say for themselves stays theirs. */
export class CompositionError extends Error {
  /** The class. */
  override readonly name = "CompositionError";
  /** Which kind. */
  readonly code: CompositionErrorCode;

  constructor(code: CompositionErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: CompositionErrorCode): value is CompositionError {
    return value instanceof CompositionError && (code === undefined || value.code === code);
  }
}
