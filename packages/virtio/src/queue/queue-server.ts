/**
 * The loop that calls a device's handler for each buffer: when the driver notifies, within a budget for each turn of the event
 * loop, and with notifications off while it runs. It may go on looking for a while after the last buffer: a driver that comes
 * again meanwhile need not notify, and nobody has to wake.
 *
 * @module
 */
import type { VirtioHost } from "../host/host.ts";
import type { Chain } from "./chain.ts";

/**
 * Does something with a buffer. It is given back when this returns, unless it was held, or the answer is false: then there is no
 * room for what is in it, and it is the next one again after `resume`.
 */
export type ChainHandler = (chain: Chain) => unknown;

/** How a queue is served. */
export interface ServeOptions {
  /** Buffers of one turn of the event loop; 256 unless given. */
  readonly budget?: number;
  /** Called behind the last buffer of a batch, before the driver hears of it. */
  readonly batchEnd?: () => void;
}

/** What the loop does with its queue. */
export interface ServedQueue {
  readonly running: boolean;
  /** Whether a buffer was given back that the driver was not shown. */
  readonly unshown: boolean;
  pop(): Chain | undefined;
  putBack(chain: Chain): void;
  push(chain: Chain): void;
  flush(): void;
  ignoreKicks(): void;
  askForKicks(): boolean;
}

/** Serves one queue. */
export class QueueServer {
  readonly #queue: ServedQueue;
  readonly #host: VirtioHost;
  /** How long it looks for more after a buffer, milliseconds. */
  readonly #pollMilliseconds: number;
  /** Told what a handler threw: that must not end the loop. */
  readonly #failed: (cause: unknown) => void;
  #pollUntil = 0;
  /** Whether it looks on, and the driver has been told that its notifications are of no use. */
  #looking = false;
  #handler: ChainHandler | undefined;
  #batchEnd: (() => void) | undefined;
  #budget = 0;
  #running = false;
  /** Whether a later turn has been asked for, and whether that is because this one's budget is spent. */
  #scheduled = false;
  #spent = false;
  /** Whether the handler has no room. */
  #paused = false;
  /** Whether it found room again while it said that it has none. */
  #resumed = false;

  constructor(queue: ServedQueue, host: VirtioHost, pollMicroseconds: number, failed: (cause: unknown) => void) {
    this.#queue = queue;
    this.#host = host;
    this.#pollMilliseconds = pollMicroseconds / 1000;
    this.#failed = failed;
  }

  /** Whether the loop is at work: it flushes what is given back meanwhile. */
  get running(): boolean {
    return this.#running;
  }

  /** Begins, in a later turn, with what is there already. */
  start(handler: ChainHandler, budget: number, batchEnd?: () => void): void {
    this.#handler = handler;
    this.#batchEnd = batchEnd;
    this.#budget = budget;
    this.#later();
  }

  /** The driver notified. A queue that has spent its budget waits for its next turn, however often that happens. */
  kick(): void {
    if (!this.#spent) this.#run();
  }

  /** The handler has room again. */
  resume(): void {
    this.#resumed = true;
    if (!this.#paused) return;
    this.#paused = false;
    this.kick();
  }

  #later(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#host.defer(() => {
      this.#scheduled = false;
      this.#spent = false;
      this.#run();
    });
  }

  #run(): void {
    const handler = this.#handler;
    // A handler whose writes kick its own queue is not entered again; the loop around it looks once more anyway.
    if (handler === undefined || this.#running || this.#paused || !this.#queue.running) return;
    this.#running = true;
    try {
      this.#serve(handler);
    } finally {
      this.#running = false;
    }
  }

  #serve(handler: ChainHandler): void {
    const queue = this.#queue;
    // Said already where it looks on: what a driver reads before each notification is not written in vain.
    if (!this.#looking) queue.ignoreKicks();
    this.#looking = false;
    for (let left = this.#budget; ; ) {
      const before = left;
      for (; left > 0; left--) {
        const chain = queue.pop();
        if (chain === undefined) break;
        this.#handle(handler, chain);
        if (this.#paused) break;
      }
      const served = left < before || this.#paused || queue.unshown;
      if (served) this.#pollUntil = this.#now() + this.#pollMilliseconds;
      else if (this.#looksOn()) return;
      this.#endBatch();
      queue.flush();
      if (this.#paused) return;
      if (left === 0) {
        this.#spent = true;
        this.#later();
        return;
      }
      if (served && this.#looksOn()) return;
      if (!queue.askForKicks()) return;
      queue.ignoreKicks();
    }
  }

  /** Looks again in a later turn, as long as another buffer may follow the last one. @returns whether it does */
  #looksOn(): boolean {
    if (this.#now() >= this.#pollUntil) return false;
    this.#looking = true;
    this.#later();
    return true;
  }

  /** The time, where it matters. */
  #now(): number {
    return this.#pollMilliseconds === 0 ? 0 : this.#host.now();
  }

  #endBatch(): void {
    try {
      this.#batchEnd?.();
    } catch (cause) {
      this.#failed(cause);
    }
  }

  #handle(handler: ChainHandler, chain: Chain): void {
    const { sequence } = chain;
    let refused = false;
    this.#resumed = false;
    try {
      refused = handler(chain) === false;
    } catch (cause) {
      this.#failed(cause);
    }
    // A handler may have given it back and been given the same object again for another buffer.
    const untouched = chain.taken && !chain.done && !chain.held && chain.sequence === sequence;
    if (!untouched) return;
    if (!refused) {
      this.#queue.push(chain);
      return;
    }
    this.#queue.putBack(chain);
    this.#paused = !this.#resumed;
  }
}
