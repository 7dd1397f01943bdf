/**
 * Who waits for file descriptors. A thread with an event loop waits in it; one that has nothing else to do blocks in poll(2).
 *
 * @module
 */
import koffi from "koffi";
import type { Fd } from "../fd/fd.ts";

/** What a descriptor is ready for. */
export interface Readiness {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** What is waited for. */
export interface Interest {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

/** A descriptor that is waited for. Dispose it before the descriptor is closed. */
export interface Watch extends Disposable {
  /** Waits for something else from now on. */
  change(interest: Interest): void;
}

/** Waits for descriptors. */
export interface Poller {
  /** Calls back as long as the descriptor is ready: take what is there. One watch a descriptor. */
  watch(fd: Fd, interest: Interest, ready: (readiness: Readiness) => void): Watch;
}

/** Told of what a callback threw: native code in between would lose it. */
export type PollFault = (error: unknown) => void;

/** Waits in the event loop. */
export class EventLoopPoller implements Poller {
  readonly #onFault: PollFault;
  /** The watches: one that nobody refers to is collected, and hears nothing more. */
  readonly #watches = new Set<EventLoopWatch>();

  /** @param onFault - what a callback threw; thrown in a later turn unless given */
  constructor(onFault: PollFault = throwLater) {
    this.#onFault = onFault;
  }

  /** Descriptors that are waited for. */
  get size(): number {
    return this.#watches.size;
  }

  watch(fd: Fd, interest: Interest, ready: (readiness: Readiness) => void): Watch {
    const guarded = (readiness: Readiness): void => {
      try {
        ready(readiness);
      } catch (error) {
        this.#onFault(error);
      }
    };
    const watch = new EventLoopWatch(fd.number, interest, guarded, () => void this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }
}

class EventLoopWatch implements Watch {
  readonly #handle: ReturnType<typeof koffi.node.poll>;
  readonly #ready: (readiness: Readiness) => void;
  readonly #ended: () => void;
  /** Kept: native code holds it weakly. */
  readonly #callback: (status: unknown, events?: { readable?: boolean; writable?: boolean; disconnect?: boolean }) => void;
  #open = true;

  constructor(number: number, interest: Interest, ready: (readiness: Readiness) => void, ended: () => void) {
    this.#ready = ready;
    this.#ended = ended;
    this.#callback = (status, events) => this.#called(status, events);
    this.#handle = koffi.node.poll(number, options(interest), this.#callback as never);
  }

  #called(status: unknown, events: { readable?: boolean; writable?: boolean; disconnect?: boolean } | undefined): void {
    if (!this.#open) return;
    // A hang-up or an error is for whoever reads next to find.
    const failed = status !== 0 && status !== null && status !== undefined;
    const gone = failed || events === undefined || events.disconnect === true;
    this.#ready({ readable: gone || events.readable === true, writable: gone || events.writable === true });
  }

  change(interest: Interest): void {
    if (this.#open) this.#handle.start(options(interest), this.#callback as never);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#handle.close();
    this.#ended();
  }
}

const options = ({ readable = false, writable = false }: Interest): { readable: boolean; writable: boolean; disconnect: boolean } => ({
  readable,
  writable,
  disconnect: true,
});

function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
