/** Who binds to a space in its own thread. @module */
import type { FlatView } from "../view/flat-view.ts";

/** A holder, as it names itself when it binds. */
export interface Holder {
  /** For people: `space.holders`, and errors about holders that don't let go. */
  readonly name: string;
  /**
   * Asked after each commit to let go of the views before it: it returns (or its promise resolves) when it no longer uses
   * them, at its next quiescent point and never in the middle of a batch. A holder that blocks elsewhere is woken here.
   * Without it, a holder promises to keep no view across an await.
   */
  letGo?(view: FlatView): void | Promise<void>;
}

/**
 * A stretch of work on one view. While it is open, what later commits remove stays allocated.
 *
 * Work that does not await needs none: nothing can change in between.
 */
export interface Batch extends Disposable {
  /** The map that the work uses. */
  readonly view: FlatView;
}

/** What a change of the map has come to. */
export interface Commit {
  /** The generation of the map from this change on. */
  readonly generation: number;
  /**
   * Resolves when every holder has let go of the views before this one, so that what was removed has been released.
   * Rejects with `holder-unresponsive` after the grace time, `holder-died` where one died instead of letting go; both name
   * the holders. The change itself stands in any case.
   */
  readonly settled: Promise<void>;
}
