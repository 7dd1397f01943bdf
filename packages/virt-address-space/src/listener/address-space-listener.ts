/** Whoever derives something from the map: KVM's memslots, a vhost memory table, a drawing. @module */
import type { Doorbell } from "../doorbell/doorbell.ts";
import type { FlatRange } from "../view/flat-range.ts";
import type { FlatView } from "../view/flat-view.ts";

/**
 * Told of every commit, while the old view still stands for readers: `begin`, then what was removed, added and left
 * unchanged, each in address order, then `commit`. A listener that joins is told the whole map as added, one that leaves
 * as removed.
 *
 * Listeners are called by ascending priority (an accelerator before a device), for removals by descending priority. All
 * of it happens synchronously inside the commit. One that throws aborts it: each listener is told the inverse of what it
 * had accepted, and the old view stands. In an attached thread there is nothing to abort: the change was made elsewhere, so
 * one that throws is dropped and reported. A listener can't change the map from inside (`busy`).
 *
 * @see QEMU, docs/devel/memory.rst and `struct MemoryListener`
 */
export interface AddressSpaceListener {
  /** For people: errors show it. */
  readonly name: string;
  /** Lower ones are told of additions first; 0 unless given. */
  readonly priority?: number;
  /** A commit begins. */
  begin?(): void;
  /** A range is gone, or gives way to another. */
  removed?(range: FlatRange): void;
  /** A range is new. */
  added?(range: FlatRange): void;
  /** A range stands as before. */
  unchanged?(range: FlatRange): void;
  /** A doorbell is gone. */
  doorbellRemoved?(doorbell: Doorbell): void;
  /** A doorbell is new. */
  doorbellAdded?(doorbell: Doorbell): void;
  /** The first dirty log was started: from now on writes must be recorded. */
  logStarted?(): void;
  /** The last dirty log was stopped. */
  logStopped?(): void;
  /** All has been told; the view takes effect when every listener accepted it. */
  commit?(view: FlatView): void;
}
