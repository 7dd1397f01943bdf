/** Whether a descriptor can be waited for: the event loop ends the process where one can't. @see epoll_ctl(2) @module */
import { HostLinuxError } from "../error/host-linux-error.ts";
import { Fd } from "../fd/fd.ts";
import { call, tryCall } from "../native/libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EVENT_BYTES = 16;

/** @throws {@link HostLinuxError} `invalid-argument` for a file, a folder and the like; `system-call`, `closed` */
export function requirePollable(fd: Fd): void {
  using epoll = new Fd(call("epoll_create1", EPOLL_CLOEXEC));
  const { errno } = tryCall("epoll_ctl", epoll.number, EPOLL_CTL_ADD, fd.number, new Uint8Array(EVENT_BYTES));
  if (errno !== 0) throw new HostLinuxError("invalid-argument", "nobody can wait for this descriptor: it is a file's, say");
}

/** The error of a second watch. */
export function watchedAlready(): HostLinuxError {
  return new HostLinuxError("invalid-argument", "somebody waits for this descriptor already: one watch at a time, or duplicate it");
}
