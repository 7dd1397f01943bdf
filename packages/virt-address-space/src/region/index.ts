export type { IoHandler, IoSize } from "./io-handler.ts";
export {
  type AliasRegionSpec,
  type IoRegionSpec,
  type MemoryRegionSpec,
  Region,
  type RegionKind,
  type RegionSpec,
} from "./region.ts";
