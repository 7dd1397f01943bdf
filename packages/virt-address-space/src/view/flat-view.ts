/**
 * The flat view: what a space shows, as ranges in address order that do not overlap. Immutable, with a generation; a
 * commit makes a new one. Whoever holds an old one still reads a consistent map.
 *
 * @module
 */
import { requireAddress } from "../address/addresses.ts";
import { type FlatRange, NO_RANGE } from "./flat-range.ts";

const LEAST_BUCKETS = 16;
const MOST_BUCKETS = 1 << 16;
const powerOf2From = (least: number): number => 2 ** Math.ceil(Math.log2(least));

/** An immutable map of a space at one generation. */
export class FlatView {
  /** Counts the commits of the space; every holder sees the same number for the same map. */
  readonly generation: number;
  /** In address order, without overlap. */
  readonly ranges: readonly FlatRange[];
  // Cuts the addresses from the first range to the last into equal buckets, a power of two of them. Each names the first
  // range that ends behind its start: for maps that are not absurdly uneven that is the answer, or the one before it.
  readonly #base: number;
  readonly #scale: number;
  readonly #mask: number;
  readonly #buckets: readonly FlatRange[];

  /** @internal */
  constructor(generation: number, ranges: readonly FlatRange[]) {
    this.generation = generation;
    this.ranges = ranges;
    const base = ranges[0]?.start ?? 0;
    const span = (ranges.at(-1)?.end ?? 0) - base;
    const count = Math.min(Math.max(powerOf2From(ranges.length * 4 + 1), LEAST_BUCKETS), MOST_BUCKETS);
    const width = powerOf2From(Math.max(span / count, 1));
    this.#base = base;
    this.#scale = 1 / width;
    this.#mask = count - 1;
    const buckets: FlatRange[] = [];
    let range = 0;
    for (let bucket = 0; bucket < count; bucket++) {
      while (range < ranges.length - 1 && (ranges[range] as FlatRange).end <= base + bucket * width) range++;
      buckets.push(ranges[range] ?? NO_RANGE);
    }
    this.#buckets = buckets;
  }

  /**
   * The range that holds an address.
   *
   * @throws {@link VirtAddressSpaceError} `invalid-address` for what is no address
   */
  lookup(address: number): FlatRange | undefined {
    requireAddress(address);
    return this.find(address);
  }

  /** As {@link lookup}, for callers that know the number to be an address; others get undefined or a neighbour. */
  find(address: number): FlatRange | undefined {
    const guess = this.guess(address);
    if (address >= guess.start && address < guess.end) return guess;
    const range = this.ranges[this.indexFrom(address)];
    return range !== undefined && address >= range.start ? range : undefined;
  }

  /** The range that most probably holds an address, without a search; what it says must be checked. @internal */
  guess(address: number): FlatRange {
    return this.#buckets[((address - this.#base) * this.#scale) & this.#mask] as FlatRange;
  }

  /** Calls back for the part of each range that lies within a run of addresses; `offset` counts from the start of the range. */
  forEachPart(address: number, length: number, callback: (range: FlatRange, offset: number, length: number) => void): void {
    const end = address + length;
    for (let i = this.indexFrom(address); i < this.ranges.length; i++) {
      const range = this.ranges[i] as FlatRange;
      if (range.start >= end) return;
      const from = Math.max(range.start, address);
      callback(range, from - range.start, Math.min(range.end, end) - from);
    }
  }

  /** The index of the first range that ends behind an address; the number of ranges where there is none. */
  indexFrom(address: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ranges[middle] as FlatRange).end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The map of a space that has none. */
export const EMPTY_VIEW: FlatView = new FlatView(0, []);
