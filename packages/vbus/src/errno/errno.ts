/**
 * Results of what a guest asks for: never an exception, but a number, or the name of an errno.
 *
 * @module
 */

/** Linux's numbers, by name. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EBADF: 9,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  ENOSYS: 38,
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
