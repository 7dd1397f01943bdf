/** Where the current view of a space is found: one field, replaced by each commit. @module */
import type { FlatView } from "../view/flat-view.ts";
import type { IoDispatch } from "./io-dispatch.ts";

/** What an access needs of its space. */
export interface ViewCell {
  view: FlatView;
  readonly io: IoDispatch;
}
