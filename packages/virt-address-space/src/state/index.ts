export type { MemoryRequest, RestoreParts } from "./restore.ts";
export type { SavedRegion } from "./state-format.ts";
export type { StateSource } from "./state-reader.ts";
