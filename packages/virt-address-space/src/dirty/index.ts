export { type DirtyExtent, DirtyLog, type DirtySource } from "./dirty-log.ts";
