/**
 * How long senders wait for a receiver without room. One that takes frames at a fair pace is waited for, so that nothing is lost to a
 * burst; one that doesn't holds nobody up: what it earns by a frame is what a sender waits for it at the most.
 *
 * @module
 */

/** Earned by each frame taken, milliseconds: 50,000 frames a second are a fair pace. */
const EARNED = 0.02;
/** The most that can be waited at a time, and owed behind that, milliseconds; a receiver has as much to begin with. */
const MOST = 5;

/** Services that patience needs. */
export interface PatienceHost {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls back once when some time has passed, unless the answer is disposed before. */
  after(milliseconds: number, task: () => void): Disposable;
}

/** The patience that others have with one receiver. */
export class Patience {
  readonly #host: PatienceHost;
  readonly #over: () => void;
  /** Milliseconds; below 0 after a wait that took longer than was earned. */
  #earned = MOST;
  #since: number | undefined;
  #timer: Disposable | undefined;

  /** @param over - called when who waits has waited long enough */
  constructor(host: PatienceHost, over: () => void) {
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

interface Globals {
  setTimeout(task: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** Timers of the host: the one place of this package that looks at the global object. */
export function defaultAfter(milliseconds: number, task: () => void): Disposable {
  const globals = globalThis as unknown as Globals;
  const timer = globals.setTimeout(task, milliseconds);
  return { [Symbol.dispose]: () => globals.clearTimeout(timer) };
}
