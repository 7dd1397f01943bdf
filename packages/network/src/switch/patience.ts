/**
 * How long senders wait for a receiver without room. One that takes frames at a fair pace is waited for, so that nothing is lost to a
 * burst; one that doesn't holds nobody up: what it earns by a frame is what a sender waits for it at the most.
 *
 * @module
 */
import type { NetworkHost } from "../host/host.ts";

/** Earned by each frame taken, milliseconds: 50,000 frames a second are a fair pace. */
const EARNED = 0.02;
/** The most that can be waited at a time, and owed behind that, milliseconds; a receiver has as much to begin with. */
const MOST = 5;

/** The patience that others have with one receiver. */
export class Patience {
  readonly #host: NetworkHost;
  readonly #over: () => void;
  /** Milliseconds; below 0 after a wait that took longer than was earned. */
  #earned = MOST;
  #since: number | undefined;
  #timer: Disposable | undefined;

  /** @param over - called when who waits has waited long enough */
  constructor(host: NetworkHost, over: () => void) {
    this.#host = host;
    this.#over = over;
  }

  /** The receiver took a frame. */
  took(): void {
    if (this.#earned < MOST) this.#earned += EARNED;
  }

  /** The receiver has no room. @returns whether a sender may wait for it */
  wait(): boolean {
    if (this.#since !== undefined) return true;
    if (this.#earned <= 0) return false;
    this.#since = this.#host.now();
    this.#timer = this.#host.after(this.#earned, () => {
      this.end();
      // A clock that is coarser than the timer would have had no time pass.
      this.#earned = Math.min(this.#earned, 0);
      this.#over();
    });
    return true;
  }

  /** Nobody waits any more: there is room, no time left, or no receiver. */
  end(): void {
    if (this.#since === undefined) return;
    const waited = Math.max(this.#host.now() - this.#since, 0);
    this.#earned = Math.max(this.#earned - waited, -MOST);
    this.#since = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
