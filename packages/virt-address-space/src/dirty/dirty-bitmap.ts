/**
 * The dirty pages of one memory for one client: a bitmap with two levels of summary above it, so that a harvest reads
 * what is dirty and not what there is. 16 Mi pages are 2 MiB of bits, 64 KiB of summary and 2 KiB above that.
 *
 * Between threads: whoever writes first stores its data, then marks. A mark sets the page's bit, then its summaries; a
 * harvest takes the summaries first, then the bits. So a bit whose mark is half done is seen by this harvest or the next.
 * Where a thread died half-way, {@link DirtyBitmap.repair} completes its mark, or it would hide those of others for good.
 *
 * What a mark does not do is wait for its data to be visible: a processor may read the bit before its own store is seen by
 * others. A harvest that takes the bit in that moment is told the page with old bytes. The log above mends that.
 *
 * @module
 */
import { PAGE_SIZE } from "../address/addresses.ts";

/** Called for a run of dirty pages. */
export type DirtyRun = (firstPage: number, pages: number) => void;

const wordsFor = (bits: number): number => (bits + 31) >>> 5;

/** A summarised bitmap of dirty pages. */
export class DirtyBitmap {
  /** The words of all levels: bits, summary, summary of the summary. */
  readonly buffer: ArrayBufferLike;
  readonly pages: number;
  readonly #bits: Int32Array;
  readonly #summary: Int32Array;
  readonly #top: Int32Array;
  readonly #atomic: boolean;

  /**
   * @param size - bytes of the memory
   * @param buffer - the words of a bitmap that another thread made for the same size
   */
  constructor(size: number, buffer?: ArrayBufferLike) {
    this.pages = Math.ceil(size / PAGE_SIZE);
    const bits = wordsFor(this.pages);
    const summary = wordsFor(bits);
    const top = wordsFor(summary);
    const bytes = (bits + summary + top) * 4;
    this.buffer = buffer ?? DirtyBitmap.#allocate(bytes);
    this.#bits = new Int32Array(this.buffer, 0, bits);
    this.#summary = new Int32Array(this.buffer, bits * 4, summary);
    this.#top = new Int32Array(this.buffer, (bits + summary) * 4, top);
    this.#atomic = !(this.buffer instanceof ArrayBuffer);
  }

  static #allocate(bytes: number): ArrayBufferLike {
    // Shared wherever that exists: a log that is local today must reach the threads that attach tomorrow.
    return typeof SharedArrayBuffer === "function" ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  }

  /** Marks one page. */
  mark(page: number): void {
    const word = page >>> 5;
    const bit = 1 << (page & 31);
    // Plain reads: atomic ones cost five times as much, and most marks find their page dirty already.
    if (((this.#bits[word] as number) & bit) !== 0) return;
    this.#set(word, bit);
  }

  /** Marks all pages that a run of bytes touches. */
  markBytes(offset: number, length: number): void {
    const first = Math.floor(offset / PAGE_SIZE);
    const last = Math.floor((offset + length - 1) / PAGE_SIZE);
    if (first === last) this.mark(first);
    else this.#markPages(first, last);
  }

  #markPages(first: number, last: number): void {
    const lastWord = last >>> 5;
    for (let word = first >>> 5; word <= lastWord; word++) {
      let bits = -1;
      if (word === first >>> 5) bits &= -1 << (first & 31);
      if (word === lastWord) bits &= -1 >>> (31 - (last & 31));
      if (((this.#bits[word] as number) & bits) !== bits) this.#set(word, bits);
    }
  }

  /** Completes the marks of a thread that died in the middle of one. */
  repair(): void {
    for (let word = 0; word < this.#bits.length; word++) if (this.#bits[word] !== 0) this.#set(word, 0);
  }

  #set(word: number, bits: number): void {
    const above = word >>> 5;
    if (this.#atomic) {
      Atomics.or(this.#bits, word, bits);
      Atomics.or(this.#summary, above, 1 << (word & 31));
      Atomics.or(this.#top, above >>> 5, 1 << (above & 31));
    } else {
      (this.#bits[word] as number) |= bits;
      (this.#summary[above] as number) |= 1 << (word & 31);
      (this.#top[above >>> 5] as number) |= 1 << (above & 31);
    }
  }

  /** Takes all dirty pages and leaves the bitmap clean; runs come in order, and no run is empty. */
  harvest(run: DirtyRun): void {
    const runs = new RunMerger(run);
    for (let t = 0; t < this.#top.length; t++) {
      if (this.#top[t] === 0) continue;
      for (let tops = this.#take(this.#top, t); tops !== 0; tops &= tops - 1) {
        const s = t * 32 + lowestBit(tops);
        for (let summary = this.#take(this.#summary, s); summary !== 0; summary &= summary - 1) {
          const word = s * 32 + lowestBit(summary);
          runs.addWord(word * 32, this.#take(this.#bits, word));
        }
      }
    }
    runs.flush();
  }

  #take(words: Int32Array, index: number): number {
    if (this.#atomic) return Atomics.exchange(words, index, 0);
    const value = words[index] as number;
    words[index] = 0;
    return value;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Joins neighbouring dirty pages. */
class RunMerger {
  readonly #run: DirtyRun;
  #first = 0;
  #pages = 0;

  constructor(run: DirtyRun) {
    this.#run = run;
  }

  addWord(base: number, bits: number): void {
    for (let rest = bits; rest !== 0; rest &= rest - 1) {
      const page = base + lowestBit(rest);
      if (page === this.#first + this.#pages && this.#pages > 0) {
        this.#pages++;
      } else {
        this.flush();
        this.#first = page;
        this.#pages = 1;
      }
    }
  }

  flush(): void {
    if (this.#pages > 0) this.#run(this.#first, this.#pages);
    this.#pages = 0;
  }
}
