/**
 * Results of what a guest asks for: never an exception, but a number, or the name of an errno.
 *
 * @module
 */

/** Linux's numbers, by name. */
export const Errno = {
  /** Not permitted. */
  EPERM: 1,
  /** There is none of that number or handle. */
  ENOENT: 2,
  /** The other side failed. */
  EIO: 5,
  /** No such descriptor. */
  EBADF: 9,
  /** No memory. */
  ENOMEM: 12,
  /** Nothing is at that address. */
  EFAULT: 14,
  /** It is in use. */
  EBUSY: 16,
  /** It is there already. */
  EEXIST: 17,
  /** The device is gone. */
  ENODEV: 19,
  /** That makes no sense. */
  EINVAL: 22,
  /** There is no room left. */
  ENOSPC: 28,
  /** Nobody does that here. */
  ENOSYS: 38,
  /** It was shut down. */
  ESHUTDOWN: 108,
} as const;

/** Why something was refused. */
export type ErrnoName = keyof typeof Errno;

/** What a call of a guest's answers: a number from 0 on, or why it was refused. */
export type CallResult = number | ErrnoName;

/** Whether a result is a refusal. */
export function isErrno(value: unknown): value is ErrnoName {
  return typeof value === "string" && value in Errno;
}

/** A result as the guest reads it: a signed number of 32 bits, negative for a refusal. */
export function returnValue(result: CallResult): number {
  return isErrno(result) ? -Errno[result] : result | 0;
}

/** What the guest read, as a result. A number that is nobody's is `EIO`. */
export function resultOf(value: number): CallResult {
  if (value >= 0) return value;
  const found = Object.entries(Errno).find(([, number]) => number === -value)?.[0];
  return (found as ErrnoName | undefined) ?? "EIO";
}
