export { Sgmap } from "./sgmap.ts";
export { Vmap, type VmapChange, type VmapOptions, type WindowPlace } from "./vmap.ts";
