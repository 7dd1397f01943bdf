/** The error of this package: what an author did wrong. What a guest does wrong is a {@link RingFault}. @module */

/** What went wrong. */
export type VirtioErrorCode =
  | "invalid-queue"
  | "invalid-feature"
  | "invalid-argument"
  | "not-in-flight"
  | "state-mismatch"
  | "device-failed";

/** An author's mistake; the message names the remedy. */
export class VirtioError extends Error {
  /** Always this class's name, in every copy of the package. */
  override readonly name = "VirtioError";
  /** What went wrong, for programs. */
  readonly code: VirtioErrorCode;
  /** What belongs to the code: a queue's number, a device's name. */
  readonly details: Readonly<Record<string, unknown>>;

  /** @param message - names the remedy */
  constructor(code: VirtioErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** Whether a value is an error of this package, of a given code where one is named. */
  static is(value: unknown, code?: VirtioErrorCode): value is VirtioError {
    if (!(value instanceof Error) || value.name !== "VirtioError") return false;
    return code === undefined || (value as VirtioError).code === code;
  }
}
