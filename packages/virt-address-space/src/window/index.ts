export { Sgmap } from "./sgmap.ts";
export { Vmap, type VmapChange, type VmapOptions } from "./vmap.ts";
