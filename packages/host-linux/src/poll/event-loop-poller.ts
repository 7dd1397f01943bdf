/** Waits for descriptors in the event loop, for threads that have one to turn. @module */
import koffi from "koffi";
import type { Fd } from "../fd/fd.ts";
import { requirePollable, watchedAlready } from "./pollable.ts";
import type { Interest, Poller, PollFault, Readiness, Watch } from "./poller.ts";

/** Waits in the event loop. */
export class EventLoopPoller implements Poller {
  /** What this thread's loop waits for, whoever asked: a second watch of one descriptor would end the process. */
  static readonly #numbers = new Set<number>();
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
    const { number } = fd;
    if (EventLoopPoller.#numbers.has(number)) throw watchedAlready();
    requirePollable(fd);
    const guarded = (readiness: Readiness): void => {
      try {
        ready(readiness);
      } catch (error) {
        this.#onFault(error);
      }
    };
    const watch = new EventLoopWatch(fd, interest, guarded, () => {
      this.#watches.delete(watch);
      EventLoopPoller.#numbers.delete(number);
    });
    this.#watches.add(watch);
    EventLoopPoller.#numbers.add(number);
    return watch;
  }
}

type Status = number | null | undefined;
interface Events {
  readonly readable?: boolean;
  readonly writable?: boolean;
  readonly disconnect?: boolean;
}

class EventLoopWatch implements Watch {
  readonly #fd: Fd;
  readonly #handle: ReturnType<typeof koffi.node.poll>;
  readonly #ready: (readiness: Readiness) => void;
  readonly #ended: () => void;
  /** Kept: native code holds it weakly. */
  readonly #callback: (status: Status, events?: Events) => void;
  #interest: Interest;
  #open = true;

  constructor(fd: Fd, interest: Interest, ready: (readiness: Readiness) => void, ended: () => void) {
    this.#fd = fd;
    this.#interest = interest;
    this.#ready = ready;
    this.#ended = ended;
    this.#callback = (status, events) => this.#called(status, events);
    this.#handle = koffi.node.poll(fd.number, options(interest), this.#callback as never);
    if (!wants(interest)) this.#handle.stop();
  }

  #called(status: Status, events: Events | undefined): void {
    if (!this.#open) return;
    // A hang-up or an error is for whoever reads or writes next to find.
    const failed = status !== 0 && status !== null && status !== undefined;
    const gone = failed || events === undefined || events.disconnect === true;
    const { readable = false, writable = false } = this.#interest;
    this.#ready({ readable: readable && (gone || events.readable === true), writable: writable && (gone || events.writable === true) });
    // The loop lets go of a descriptor with an error, which may be over by now: a datagram socket goes on.
    if (failed) this.change(this.#interest);
  }

  change(interest: Interest): void {
    if (!this.#open) return;
    this.#interest = interest;
    // A side that is gone would call for ever who wants to hear nothing.
    if (wants(interest) && !this.#fd.closed) this.#handle.start(options(interest), this.#callback as never);
    else this.#handle.stop();
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#handle.close();
    this.#ended();
  }
}

const wants = ({ readable = false, writable = false }: Interest): boolean => readable || writable;

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
