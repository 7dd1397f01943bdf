/** An eventfd: a counter in the kernel that somebody waits for. @see eventfd(2) @module */
import { readlinkSync } from "node:fs";
import { call } from "../native/libc.ts";
import { addToCount, takeCount } from "./event-count.ts";
import { Fd } from "./fd.ts";

const CLOEXEC_NONBLOCK = 0o2004000;

/** Owns an eventfd. No call waits, whatever others who share it do. */
export class EventFd extends Fd {
  /** Makes one with a count of 0. @throws {@link HostLinuxError} `system-call` */
  static create(): EventFd {
    return new EventFd(call("eventfd", 0, CLOEXEC_NONBLOCK));
  }

  /** Takes one that came from elsewhere, and makes it non-blocking. */
  static adopt(fd: Fd): EventFd {
    fd.setNonBlocking();
    return new EventFd(fd.release());
  }

  /**
   * Adds to the count. What is closed, or full, is passed over: whoever waits has been woken.
   *
   * @param count - more than 4096 is told as 4096
   */
  signal(count = 1): void {
    if (!this.closed) addToCount(this.number, count);
  }

  /**
   * Takes the count and leaves 0.
   *
   * @throws {@link HostLinuxError} `system-call` where this is no eventfd
   */
  take(): number {
    return this.closed ? 0 : takeCount(this.number);
  }
}

/** Whether a descriptor is one of an eventfd. */
export function isEventFd(fd: Fd): boolean {
  return readlinkSync(`/proc/self/fd/${fd.number}`).startsWith("anon_inode:[eventfd");
}
