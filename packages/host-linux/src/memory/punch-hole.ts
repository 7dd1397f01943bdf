/** Giving back what a run of a file's bytes takes. @see fallocate(2) @module */
import { constants } from "node:os";
import { callError, tryCall } from "../native/libc.ts";

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;

/**
 * Gives back what a run of a file's bytes takes on its disk; they read as zeros afterwards. The file's size stays.
 *
 * @param fd - the file's descriptor, open for writing
 * @param offset - bytes from the file's start
 * @param length - bytes, at least 1
 * @returns false where the file's file system can't: nothing has changed then
 * @throws {@link HostLinuxError} `system-call`
 */
export function punchHole(fd: number, offset: number, length: number): boolean {
  const { errno } = tryCall("fallocate", fd, KEEP_SIZE | PUNCH_HOLE, offset, length);
  if (errno === constants.errno.EOPNOTSUPP) return false;
  if (errno !== 0) throw callError("fallocate", errno);
  return true;
}
