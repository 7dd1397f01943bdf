/** What goes wrong between this package and its host. @module */

/**
 * - `unsupported`: this host is no Linux with glibc, or lacks what is needed
 * - `system-call`: a call failed; `call` and `errno` say which and why
 * - `closed`: the object was closed
 * - `unsealed`: a file that its other owners could shrink, which would kill this process at the next access
 * - `too-small`: a file has fewer bytes than it is said to have
 * - `invalid-argument`: a number makes no sense
 * - `protocol`: what came over a socket makes no sense
 * - `fds-lost`: more file descriptors came than there was room for
 * - `socket-in-use`: somebody listens at that path
 * - `refused`: the peer is not who it has to be
 */
export type HostLinuxErrorCode =
  | "unsupported"
  | "system-call"
  | "closed"
  | "unsealed"
  | "too-small"
  | "invalid-argument"
  | "protocol"
  | "fds-lost"
  | "socket-in-use"
  | "refused";

/** Fields beside the code. */
export interface HostLinuxErrorFields {
  /** The system call. */
  readonly call?: string;
  /** Its error by name: `EPERM`. */
  readonly errno?: string;
  /** A path, where one is concerned. */
  readonly path?: string;
}

/** An error of this package. */
export class HostLinuxError extends Error {
  /** The class. */
  override readonly name = "HostLinuxError";
  /** Which kind. */
  readonly code: HostLinuxErrorCode;
  /** The system call. */
  readonly call: string | undefined;
  /** Its error by name. */
  readonly errno: string | undefined;
  /** A path. */
  readonly path: string | undefined;

  constructor(code: HostLinuxErrorCode, message: string, fields: HostLinuxErrorFields = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.call = fields.call;
    this.errno = fields.errno;
    this.path = fields.path;
  }

  /** Whether a value is an error of this package, with that code where one is given. */
  static is(value: unknown, code?: HostLinuxErrorCode): value is HostLinuxError {
    return value instanceof HostLinuxError && (code === undefined || value.code === code);
  }
}
