/** Windows on a scatter-gather list. @module */
import type { Vmap } from "./vmap.ts";

/** The windows of a scatter-gather list, made by `space.sgmap`: all of it, or none. */
export class Sgmap implements Disposable {
  /** In the order of the list; an entry that spans two regions has a window in each, an empty one has none. */
  readonly segments: readonly Vmap[];
  /** Bytes of all segments. */
  readonly length: number;

  /** @internal */
  constructor(segments: readonly Vmap[]) {
    this.segments = segments;
    this.length = segments.reduce((sum, segment) => sum + segment.length, 0);
  }

  /** Whether every segment still shows its memory. */
  get valid(): boolean {
    return this.segments.every((segment) => segment.valid);
  }

  /** Closes all segments. Idempotent. */
  [Symbol.dispose](): void {
    for (const segment of this.segments) segment[Symbol.dispose]();
  }
}
