/** A clock for tests: it stands still until it is moved, and then calls whoever is due. @module */
import type { PcHost } from "./host.ts";

/** Midnight of a new year's day: what the time of day begins with. */
export const FIRST_DAY: number = Date.UTC(2026, 0, 1);

export class ManualClock implements PcHost {
  #now = 0;
  #due: { at: number; task: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  time(): number {
    return FIRST_DAY + this.#now;
  }

  after(milliseconds: number, task: () => void): Disposable {
    const entry = { at: this.#now + milliseconds, task };
    this.#due.push(entry);
    return {
      [Symbol.dispose]: () => {
        this.#due = this.#due.filter((each) => each !== entry);
      },
    };
  }

  get waiting(): number {
    return this.#due.length;
  }

  /** Moves on; a host that is late calls all at the end of it. */
  move(milliseconds: number, late = false): void {
    const end = this.#now + milliseconds;
    if (late) this.#now = end;
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due = this.#due.filter((each) => each !== next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
    }
    this.#now = end;
  }
}
