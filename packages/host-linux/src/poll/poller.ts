/**
 * Who waits for file descriptors. A thread with an event loop waits in it; one that has nothing else to do blocks in poll(2).
 *
 * @module
 */
import type { Fd } from "../fd/fd.ts";

/** What a descriptor is ready for. */
export interface Readiness {
  /** Something came, or the other side is gone. */
  readonly readable: boolean;
  /** There is room. */
  readonly writable: boolean;
}

/** What is waited for. */
export interface Interest {
  /** That something comes. */
  readonly readable?: boolean;
  /** That there is room. */
  readonly writable?: boolean;
}

/** A descriptor that is waited for. Dispose it before the descriptor is closed. */
export interface Watch extends Disposable {
  /** Waits for something else from now on. */
  change(interest: Interest): void;
}

/** Waits for descriptors. */
export interface Poller {
  /**
   * Calls back as long as the descriptor is ready: take what is there. A side that has gone makes it ready for all that is
   * waited for.
   *
   * @throws `HostLinuxError` `invalid-argument` for a descriptor that is watched already, or that nobody can wait for (a file)
   */
  watch(fd: Fd, interest: Interest, ready: (readiness: Readiness) => void): Watch;
}

/** Told of what a callback threw: native code in between would lose it. */
export type PollFault = (error: unknown) => void;
