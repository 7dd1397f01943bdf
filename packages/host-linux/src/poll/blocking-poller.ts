/**
 * Waits for descriptors in poll(2), for a thread that has nothing else to do: a worker that serves one connection.
 *
 * The event loop of its thread stands still meanwhile. Whoever wants to end a worker signals its wake eventfd; without that, `run`
 * looks up several times a second, so that `terminate()` is heard.
 *
 * @see poll(2)
 * @module
 */
import { constants } from "node:os";
import { HostLinuxError } from "../error/host-linux-error.ts";
import { EventFd } from "../fd/event-fd.ts";
import { Fd } from "../fd/fd.ts";
import { callError, tryCall } from "../native/libc.ts";
import { requirePollable, watchedAlready } from "./pollable.ts";
import type { Interest, Poller, PollFault, Readiness, Watch } from "./poller.ts";

const POLLIN = 1;
const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;
const POLLNVAL = 32;
const POLLRDHUP = 0x2000;
const ENTRY_BYTES = 8;
/** The longest that one call blocks, milliseconds: nobody can end a thread inside of it. */
const SLICE = 200;
const { EINTR } = constants.errno;

/** How a blocking poller is made. */
export interface BlockingPollerOptions {
  /** The number of an eventfd that wakes it, of another thread of this process, which keeps its own; one is made unless given. */
  readonly wake?: number;
  /** Told of what a callback threw; the first error is thrown by `run`, once all were called, unless given. */
  readonly onFault?: PollFault;
}

/** Blocks its thread until a descriptor is ready. Dispose it after its watches. */
export class BlockingPoller implements Poller, Disposable {
  readonly #wake: EventFd;
  readonly #onFault: PollFault | undefined;
  readonly #watches = new Map<number, BlockingWatch>();
  /** The watches of the call that is made: slot 0 is the wake eventfd. */
  #polled: readonly BlockingWatch[] = [];
  #table = new DataView(new ArrayBuffer(ENTRY_BYTES));
  #changed = true;
  #running = false;

  /** @throws {@link HostLinuxError} `system-call` */
  constructor({ wake, onFault }: BlockingPollerOptions = {}) {
    this.#wake = wake === undefined ? EventFd.create() : EventFd.adopt(Fd.copyOf(wake));
    this.#onFault = onFault;
  }

  /** Descriptors that are waited for. */
  get size(): number {
    return this.#watches.size;
  }

  /** The eventfd that wakes it: its number is good in every thread of this process. */
  get wakeFd(): EventFd {
    return this.#wake;
  }

  /** Ends the run at hand, or the next one. Another thread signals the eventfd. */
  wake(): void {
    this.#wake.signal();
  }

  watch(fd: Fd, interest: Interest, ready: (readiness: Readiness) => void): Watch {
    const { number } = fd;
    if (this.#watches.has(number)) throw watchedAlready();
    requirePollable(fd);
    const watch = new BlockingWatch(number, interest, ready, (ended) => {
      this.#changed = true;
      if (ended) this.#watches.delete(number);
    });
    this.#watches.set(number, watch);
    this.#changed = true;
    return watch;
  }

  /**
   * Waits until a descriptor is ready, somebody wakes it, or the time is over, and calls back whoever is ready. A signal that
   * comes in between may shorten it.
   *
   * @param milliseconds - 0 only looks
   * @returns "woken" after a wake, else how many were called
   * @throws {@link HostLinuxError} `invalid-argument` for a time that does not end, or within a callback; `system-call`; `closed`
   */
  run(milliseconds: number): number | "woken" {
    if (!Number.isFinite(milliseconds) || milliseconds < 0) {
      throw new HostLinuxError("invalid-argument", `${milliseconds} ms can't be waited: give a time that ends, and run again`);
    }
    if (this.#running) throw new HostLinuxError("invalid-argument", "this poller runs already: let the callback return");
    this.#running = true;
    try {
      if (!this.#wait(milliseconds)) return 0;
      const woken = this.#events(0) !== 0 && this.#wake.take() > 0;
      const called = this.#call();
      return woken ? "woken" : called;
    } finally {
      this.#running = false;
    }
  }

  /** @returns whether somebody is ready */
  #wait(milliseconds: number): boolean {
    this.#fill();
    for (let left = Math.ceil(milliseconds); ; left -= SLICE) {
      const { result, errno } = tryCall("poll", new Uint8Array(this.#table.buffer), 1 + this.#polled.length, Math.min(left, SLICE));
      if (errno !== 0 && errno !== EINTR) throw callError("poll", errno);
      if (errno === 0 && result > 0) return true;
      if (left <= SLICE) return false;
    }
  }

  #fill(): void {
    // A closed wake eventfd means a disposed poller, whose number may be somebody else's.
    const wake = this.#wake.number;
    if (!this.#changed) return;
    this.#changed = false;
    this.#polled = [...this.#watches.values()].filter((watch) => watch.events !== 0);
    const bytes = ENTRY_BYTES * (1 + this.#polled.length);
    if (this.#table.byteLength < bytes) this.#table = new DataView(new ArrayBuffer(2 * bytes));
    this.#set(0, wake, POLLIN);
    for (const [i, watch] of this.#polled.entries()) this.#set(i + 1, watch.number, watch.events | POLLRDHUP);
  }

  #set(slot: number, number: number, events: number): void {
    this.#table.setInt32(ENTRY_BYTES * slot, number, true);
    this.#table.setInt32(ENTRY_BYTES * slot + 4, events, true);
  }

  #events(slot: number): number {
    return this.#table.getUint16(ENTRY_BYTES * slot + 6, true);
  }

  /** @returns how many were called */
  #call(): number {
    const faults: unknown[] = [];
    let called = 0;
    for (const [i, watch] of this.#polled.entries()) {
      try {
        if (watch.call(this.#events(i + 1))) called++;
      } catch (error) {
        if (this.#onFault === undefined) faults.push(error);
        else this.#onFault(error);
      }
    }
    if (faults.length > 0) throw faults[0];
    return called;
  }

  /** Closes what wakes it. Idempotent. */
  [Symbol.dispose](): void {
    for (const watch of [...this.#watches.values()]) watch[Symbol.dispose]();
    this.#wake[Symbol.dispose]();
  }
}

class BlockingWatch implements Watch {
  readonly number: number;
  readonly #ready: (readiness: Readiness) => void;
  readonly #changed: (ended: boolean) => void;
  #interest: Interest;
  #open = true;

  constructor(number: number, interest: Interest, ready: (readiness: Readiness) => void, changed: (ended: boolean) => void) {
    this.number = number;
    this.#interest = interest;
    this.#ready = ready;
    this.#changed = changed;
  }

  /** What is waited for, as poll takes it. */
  get events(): number {
    const { readable = false, writable = false } = this.#interest;
    return (readable ? POLLIN : 0) | (writable ? POLLOUT : 0);
  }

  /** Calls back, where what has happened is still waited for. @returns whether it did */
  call(events: number): boolean {
    if (!this.#open || events === 0) return false;
    if ((events & POLLNVAL) !== 0) {
      this[Symbol.dispose]();
      throw new HostLinuxError("closed", "a descriptor was closed while somebody waited for it: dispose the watch first");
    }
    const gone = (events & (POLLERR | POLLHUP | POLLRDHUP)) !== 0;
    const { events: wanted } = this;
    const readable = (wanted & POLLIN) !== 0 && (gone || (events & POLLIN) !== 0);
    const writable = (wanted & POLLOUT) !== 0 && (gone || (events & POLLOUT) !== 0);
    if (!readable && !writable) return false;
    this.#ready({ readable, writable });
    return true;
  }

  change(interest: Interest): void {
    if (!this.#open) return;
    this.#interest = interest;
    this.#changed(false);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#changed(true);
  }
}
