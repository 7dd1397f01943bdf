/** What changed from one flat view to the next, as listeners are told it. @module */
import type { FlatRange } from "./flat-range.ts";
import type { FlatView } from "./flat-view.ts";

/** Ranges by what happened to them, each list in address order. */
export interface ViewDifference {
  readonly removed: readonly FlatRange[];
  readonly added: readonly FlatRange[];
  readonly unchanged: readonly FlatRange[];
}

/** Compares two views; a range that did not change is the same object in both. */
export function viewDifference(before: FlatView, after: FlatView): ViewDifference {
  const old = new Set(before.ranges);
  const added: FlatRange[] = [];
  const unchanged: FlatRange[] = [];
  for (const range of after.ranges) (old.delete(range) ? unchanged : added).push(range);
  return { removed: [...old], added, unchanged };
}
