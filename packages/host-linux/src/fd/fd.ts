/** A file descriptor that somebody owns. @module */
import { HostLinuxError } from "../error/host-linux-error.ts";
import { call, tryCall } from "../native/libc.ts";

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const O_NONBLOCK = 0o4000;

/** Owns a file descriptor: dispose it to close it, once. */
export class Fd implements Disposable {
  #number: number;

  /** @param number - a descriptor that nobody else closes */
  constructor(number: number) {
    this.#number = number;
  }

  /**
   * The number, for a call.
   *
   * @throws {@link HostLinuxError} `closed`
   */
  get number(): number {
    if (this.#number < 0) throw new HostLinuxError("closed", "this file descriptor was closed: don't use what you disposed");
    return this.#number;
  }

  /** Whether it was closed, or given away. */
  get closed(): boolean {
    return this.#number < 0;
  }

  /**
   * Another descriptor of an open file that somebody else has: that one stays his.
   *
   * @throws {@link HostLinuxError} `system-call`
   */
  static copyOf(number: number): Fd {
    return new Fd(call("fcntl", number, F_DUPFD_CLOEXEC, 0));
  }

  /** Another descriptor of the same open file. */
  duplicate(): Fd {
    return Fd.copyOf(this.number);
  }

  /** Makes calls return at once where they would block. */
  setNonBlocking(): void {
    call("fcntl", this.number, F_SETFL, call("fcntl", this.number, F_GETFL, 0) | O_NONBLOCK);
  }

  /** Gives the descriptor away: its new owner closes it. */
  release(): number {
    const number = this.number;
    this.#number = -1;
    return number;
  }

  /** Closes it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#number < 0) return;
    const number = this.#number;
    this.#number = -1;
    // The descriptor is gone whatever the call says.
    tryCall("close", number);
  }
}
