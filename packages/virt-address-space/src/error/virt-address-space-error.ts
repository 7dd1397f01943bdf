/**
 * The one error class of this package. Misuse by an author throws it; what a guest does never throws, it is a value
 * (bytes not copied, undefined, or an `AccessFault`).
 *
 * @module
 */

/** What went wrong, as a stable word. The page "Errors by code" of the documentation lists each with its remedy. */
export type VirtAddressSpaceErrorCode =
  // arguments
  | "invalid-address"
  | "invalid-length"
  | "invalid-argument"
  // the map
  | "overlap"
  | "out-of-bounds"
  | "unknown-region"
  | "in-use"
  | "busy"
  | "listener-failed"
  | "duplicate-doorbell"
  // access, where the caller asked for an exception
  | "unmapped"
  | "crosses-region"
  | "read-only"
  | "not-memory"
  | "elsewhere"
  | "gone"
  | "empty"
  // lifetime and sharing
  | "released"
  | "not-owner"
  | "not-shareable"
  | "unsupported"
  | "foreign-descriptor"
  | "descriptor-version"
  | "already-attached"
  | "stale-descriptor"
  | "attach-timeout"
  | "orphaned"
  | "holder-unresponsive"
  | "holder-died"
  // saved state
  | "damaged-state"
  | "state-version"
  | "state-mismatch"
  | "missing-handler"
  | "missing-memory";

/** Structured fields that go with a code: names, addresses, lengths. */
export type VirtAddressSpaceErrorDetails = Readonly<Record<string, unknown>>;

/**
 * An author's mistake, or a lifetime that went wrong. The message names the remedy; `code` and `details` are for programs.
 *
 * @example
 * ```ts
 * import { VirtAddressSpace, VirtAddressSpaceError, gpa } from "@virtspace/virt-address-space";
 * using space = VirtAddressSpace.create({ name: "guest" });
 * try {
 *   space.vmap(gpa(0x1000), 16);
 * } catch (error) {
 *   if (!VirtAddressSpaceError.is(error, "unmapped")) throw error;
 * }
 * ```
 */
export class VirtAddressSpaceError extends Error {
  /** Always this class's name, in every copy of the package. */
  override readonly name = "VirtAddressSpaceError";
  /** What went wrong, for programs. */
  readonly code: VirtAddressSpaceErrorCode;
  /** Names, addresses and lengths that belong to the code. */
  readonly details: VirtAddressSpaceErrorDetails;

  /** @param message - names the remedy */
  constructor(code: VirtAddressSpaceErrorCode, message: string, details: VirtAddressSpaceErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** Whether a value is an error of this package, of a given code where one is named; also across copies of the package. */
  static is(value: unknown, code?: VirtAddressSpaceErrorCode): value is VirtAddressSpaceError {
    if (!(value instanceof Error) || value.name !== "VirtAddressSpaceError") return false;
    return code === undefined || (value as VirtAddressSpaceError).code === code;
  }
}
