export type { Batch, Commit, Holder } from "./holder.ts";
export type { SpaceReference } from "./references.ts";
