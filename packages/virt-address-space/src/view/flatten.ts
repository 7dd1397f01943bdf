/**
 * From regions to a flat view: a sweep over the regions' edges that keeps the regions at hand by priority.
 *
 * @module
 */
import type { GuestAddress } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { Region } from "../region/region.ts";
import { FlatRange, type RangeContent } from "./flat-range.ts";
import { FlatView } from "./flat-view.ts";
import type { SpaceMemory } from "./space-memory.ts";

/** A region and where a map has it. */
export interface PlacedRegion {
  readonly region: Region;
  readonly base: number;
}

interface Edge {
  readonly at: number;
  readonly placed: PlacedRegion;
  readonly opens: boolean;
}

/**
 * Makes the flat view of some regions.
 *
 * @param previous - its ranges are kept where they did not change, so that what readers cached stays good
 * @throws {@link VirtAddressSpaceError} `overlap` where two regions of one priority meet
 */
export function flatten(
  regions: Iterable<PlacedRegion>,
  generation: number,
  previous: FlatView,
  memoryOf: (provider: MemoryProvider) => SpaceMemory,
): FlatView {
  const edges: Edge[] = [];
  for (const placed of regions) {
    edges.push({ at: placed.base, placed, opens: true });
    edges.push({ at: placed.base + placed.region.size, placed, opens: false });
  }
  // At one address what ends comes before what begins: neighbours don't overlap.
  edges.sort((a, b) => a.at - b.at || Number(a.opens) - Number(b.opens));

  const ranges: FlatRange[] = [];
  const open: PlacedRegion[] = [];
  let from = 0;
  let shown: PlacedRegion | undefined;
  const close = (to: number): void => {
    if (shown !== undefined && to > from) ranges.push(rangeFor(shown, from, to, previous, memoryOf));
  };
  for (let i = 0; i < edges.length; i++) {
    const edge = edges[i] as Edge;
    if (edge.opens) insertByPriority(open, edge.placed);
    else open.splice(open.indexOf(edge.placed), 1);
    if (edges[i + 1]?.at === edge.at) continue;
    const top = open[0];
    if (top === shown) continue;
    close(edge.at);
    from = edge.at;
    shown = top;
  }
  return new FlatView(generation, ranges);
}

function insertByPriority(open: PlacedRegion[], placed: PlacedRegion): void {
  const { region } = placed;
  let at = 0;
  while (at < open.length && (open[at] as PlacedRegion).region.priority > region.priority) at++;
  const rival = open[at];
  if (rival !== undefined && rival.region.priority === region.priority) {
    throw new VirtAddressSpaceError(
      "overlap",
      `region "${region.name}" at 0x${placed.base.toString(16)} overlaps "${rival.region.name}" at 0x${rival.base.toString(16)}: ` +
        "move one of them, or give one a greater priority",
      { region: region.name, base: placed.base, size: region.size, rival: rival.region.name, rivalBase: rival.base },
    );
  }
  open.splice(at, 0, placed);
}

function rangeFor(
  placed: PlacedRegion,
  from: number,
  to: number,
  previous: FlatView,
  memoryOf: (provider: MemoryProvider) => SpaceMemory,
): FlatRange {
  const content = contentAt(placed.region, from - placed.base, memoryOf);
  const before = previous.find(from);
  if (before?.same(from, to - from, content) === true) return before;
  return new FlatRange(from as GuestAddress, to - from, content);
}

/** What a region shows at an offset, through any number of aliases. */
function contentAt(region: Region, offset: number, memoryOf: (provider: MemoryProvider) => SpaceMemory): RangeContent {
  let source = region;
  let at = offset;
  let writable = !region.readOnly;
  while (source.kind === "alias") {
    at += source.offset;
    source = source.target as Region;
    writable &&= !source.readOnly;
  }
  if (source.kind === "io") return { region, source, memory: undefined, offset: at, writable: false };
  const memory = source.memory === undefined ? undefined : memoryOf(source.memory);
  return { region, source, memory, offset: at + source.offset, writable };
}
