/** How many frames for everybody a port may send. @module */

/** A bucket that fills with time: each frame takes one out. */
export class FloodLimit {
  readonly #perSecond: number;
  #tokens: number;
  #filled: number;

  /** @param perSecond - frames a second, and the most at once */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#filled = now;
  }

  /** Takes one. @returns whether there was one */
  take(now: number): boolean {
    const passed = Math.max(now - this.#filled, 0);
    this.#filled = now;
    this.#tokens = Math.min(this.#tokens + (passed * this.#perSecond) / 1000, this.#perSecond);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
