/**
 * What one thread tells the others of its open windows, in shared memory: a writable window whose holder marks nothing
 * counts as dirty in every harvest, wherever the harvest is made.
 *
 * @module
 */

const ENTRIES = 128;
const WORDS = 4;
const OVERFLOW = ENTRIES * WORDS;

/** Bytes of a ledger. */
export const LEDGER_BYTES: number = (ENTRIES * WORDS + 1) * 4;

/** A table of open windows: one thread writes it, the one that harvests reads it. */
export class WindowLedger {
  /** Entries of {used, memory, first page, page after the last}; then the number of windows that found no entry. */
  readonly #words: Int32Array;

  constructor(buffer: ArrayBufferLike, offset: number) {
    this.#words = new Int32Array(buffer, offset, LEDGER_BYTES / 4);
  }

  /** Enters a window. @returns what {@link leave} takes */
  enter(memory: number, firstPage: number, endPage: number): number {
    for (let at = 0; at < OVERFLOW; at += WORDS) {
      if (Atomics.load(this.#words, at) !== 0) continue;
      this.#words[at + 1] = memory;
      this.#words[at + 2] = firstPage;
      this.#words[at + 3] = endPage;
      Atomics.store(this.#words, at, 1);
      return at;
    }
    Atomics.add(this.#words, OVERFLOW, 1);
    return OVERFLOW;
  }

  leave(entry: number): void {
    if (entry === OVERFLOW) Atomics.sub(this.#words, OVERFLOW, 1);
    else Atomics.store(this.#words, entry, 0);
  }

  /**
   * Calls back for each window.
   *
   * @returns false where more windows are open than the table holds: then all memory counts as dirty
   */
  read(callback: (memory: number, firstPage: number, endPage: number) => void): boolean {
    for (let at = 0; at < OVERFLOW; at += WORDS) {
      if (Atomics.load(this.#words, at) === 0) continue;
      callback(this.#words[at + 1] as number, this.#words[at + 2] as number, this.#words[at + 3] as number);
    }
    return Atomics.load(this.#words, OVERFLOW) === 0;
  }
}
