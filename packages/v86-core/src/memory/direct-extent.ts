/** How much of a map the engine can serve from its own memory, without asking anybody. @module */
import type { FlatRange, FlatView } from "@virtspace/virt-address-space";
import type { V86Memory } from "./v86-memory.ts";

const PAGE = 4096;
/** The engine never takes this part for memory: a display adapter is there. */
const VGA_START = 0xa_0000;
const VGA_END = 0xc_0000;

/**
 * The engine takes all below one address for its memory, whose first byte is at address 0, and asks about the rest.
 *
 * @returns that address, a multiple of 4096; 0 where the map begins with something else
 */
export function directExtent(view: FlatView, memory: V86Memory): number {
  const low = runFrom(view, memory, 0);
  const end = low >= VGA_START ? Math.max(low, runFrom(view, memory, VGA_END)) : low;
  return end - (end % PAGE);
}

/** Where the run of engine memory that goes through an address ends; 0 where there is none. */
function runFrom(view: FlatView, memory: V86Memory, address: number): number {
  let end = address;
  for (let range = view.find(end); range !== undefined && isDirect(range, memory); range = view.find(end)) end = range.end;
  return end === address ? 0 : end;
}

function isDirect(range: FlatRange, memory: V86Memory): boolean {
  return range.memory?.provider === memory && range.writable && range.offset === range.start;
}
