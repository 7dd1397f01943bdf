export { type ByteViews, copyViews } from "./byte-views.ts";
export type { FlatRange } from "./flat-range.ts";
export type { FlatView } from "./flat-view.ts";
export type { SpaceMemory } from "./space-memory.ts";
