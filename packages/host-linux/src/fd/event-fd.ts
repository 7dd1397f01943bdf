/** An eventfd: a counter in the kernel that somebody waits for. @see eventfd(2) @module */
import { readlinkSync } from "node:fs";
import { constants } from "node:os";
import { call, callError, tryCall } from "../native/libc.ts";
import { Fd } from "./fd.ts";

const CLOEXEC_NONBLOCK = 0o2004000;
const { EAGAIN } = constants.errno;

/** Owns an eventfd. */
export class EventFd extends Fd {
  readonly #bytes = new Uint8Array(8);
  readonly #words = new BigUint64Array(this.#bytes.buffer);

  /** Makes one with a count of 0. @throws {@link HostLinuxError} `system-call` */
  static create(): EventFd {
    return new EventFd(call("eventfd", 0, CLOEXEC_NONBLOCK));
  }

  /** Takes one that came from elsewhere, and makes it non-blocking. */
  static adopt(fd: Fd): EventFd {
    fd.setNonBlocking();
    return new EventFd(fd.release());
  }

  /** Adds to the count. What is closed, or full, is passed over: whoever waits has been woken. */
  signal(count = 1): void {
    if (this.closed) return;
    this.#words[0] = BigInt(count);
    tryCall("write", this.number, this.#bytes, 8);
  }

  /**
   * Takes the count and leaves 0.
   *
   * @throws {@link HostLinuxError} `system-call` where this is no eventfd
   */
  take(): number {
    if (this.closed) return 0;
    const { result, errno } = tryCall("read", this.number, this.#bytes, 8);
    if (errno === EAGAIN) return 0;
    if (errno !== 0) throw callError("read", errno);
    return result === 8 ? Number(this.#words[0]) : 0;
  }
}

/** Whether a descriptor is one of an eventfd. */
export function isEventFd(fd: Fd): boolean {
  return readlinkSync(`/proc/self/fd/${fd.number}`).startsWith("anon_inode:[eventfd");
}
