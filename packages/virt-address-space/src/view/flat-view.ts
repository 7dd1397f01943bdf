/**
 * The flat view: what a space shows, as ranges in address order that do not overlap. Immutable, with a generation; a
 * commit makes a new one. Whoever holds an old one still reads a consistent map.
 *
 * @module
 */
import { requireAddress } from "../address/addresses.ts";
import type { FlatRange } from "./flat-range.ts";

const LEAST_BUCKETS = 16;
const MOST_BUCKETS = 1 << 16;

/** An immutable map of a space at one generation. */
export class FlatView {
  /** Counts the commits of the space; every holder sees the same number for the same map. */
  readonly generation: number;
  /** In address order, without overlap. */
  readonly ranges: readonly FlatRange[];
  // Cuts the addresses from the first range to the last into equal buckets; each names the first range that ends in or
  // behind it. A lookup is then one multiplication and, for maps that are not absurdly uneven, one or two comparisons.
  readonly #base: number;
  readonly #scale: number;
  readonly #buckets: Int32Array;

  constructor(generation: number, ranges: readonly FlatRange[]) {
    this.generation = generation;
    this.ranges = ranges;
    const base = ranges[0]?.start ?? 0;
    const span = (ranges.at(-1)?.end ?? 0) - base;
    const wanted = Math.min(Math.max(2 ** Math.ceil(Math.log2(ranges.length * 4 + 1)), LEAST_BUCKETS), MOST_BUCKETS);
    const width = 2 ** Math.ceil(Math.log2(Math.max(span / wanted, 1)));
    const count = Math.ceil(span / width);
    this.#base = base;
    this.#scale = 1 / width;
    this.#buckets = new Int32Array(count + 1);
    let range = 0;
    for (let bucket = 0; bucket <= count; bucket++) {
      while (range < ranges.length && (ranges[range] as FlatRange).end <= base + bucket * width) range++;
      this.#buckets[bucket] = range;
    }
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
    const range = this.ranges[this.indexFrom(address)];
    return range !== undefined && address >= range.start ? range : undefined;
  }

  /** The index of the first range that ends behind an address. */
  indexFrom(address: number): number {
    const relative = address - this.#base;
    if (!(relative > 0)) return 0;
    const bucket = relative * this.#scale;
    const buckets = this.#buckets;
    if (bucket >= buckets.length - 1) return this.ranges.length;
    const at = bucket | 0;
    let low = buckets[at] as number;
    let high = buckets[at + 1] as number;
    // The answer lies in low..high; nearly always there is one candidate or two.
    while (high - low > 2) {
      const middle = (low + high) >>> 1;
      if ((this.ranges[middle] as FlatRange).end <= address) low = middle + 1;
      else high = middle;
    }
    while (low < high && (this.ranges[low] as FlatRange).end <= address) low++;
    return low;
  }
}

/** The map of a space that has none. */
export const EMPTY_VIEW: FlatView = new FlatView(0, []);
