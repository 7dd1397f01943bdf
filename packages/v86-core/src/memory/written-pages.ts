/**
 * Which pages a guest wrote to. The engine doesn't tell, so while somebody logs, a copy of the memory is kept and compared: a pass
 * over it at each harvest, and nothing while the guest runs.
 *
 * @module
 */
import type { V86Memory } from "./v86-memory.ts";

const PAGE = 4096;
const PAGE_WORDS = PAGE / 4;

/** A copy to compare with. */
export class WrittenPages {
  readonly #memory: V86Memory;
  readonly #before: Int32Array;

  constructor(memory: V86Memory) {
    this.#memory = memory;
    this.#before = this.#words().slice();
  }

  /** Calls back with the offset of each page that changed since the last time. */
  take(changed: (offset: number) => void): void {
    const now = this.#words();
    const before = this.#before;
    for (let page = 0; page < now.length; page += PAGE_WORDS) {
      const end = Math.min(page + PAGE_WORDS, now.length);
      let word = page;
      while (word < end && now[word] === before[word]) word++;
      if (word === end) continue;
      before.set(now.subarray(page, end), page);
      changed(page * 4);
    }
  }

  #words(): Int32Array {
    const bytes = this.#memory.bytes();
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }
}
