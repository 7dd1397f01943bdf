/** A window on a ring. @module */
import { AccessFault, type GuestAddress, tryGpa, type VirtAddressSpace, type Vmap } from "@virtspace/virt-address-space";
import type { RingFault } from "./ring-fault.ts";

/** Why there is no window. */
export type RingRefusal = Pick<RingFault, "code" | "value">;

/** How a ring's part is used. */
export interface RingPart {
  readonly address: GuestAddress;
  /** Bytes. */
  readonly length: number;
  /** Bytes to which the address is aligned. */
  readonly alignment: number;
  readonly write: boolean;
}

/**
 * Opens windows on the parts of a ring, all or none. A ring lies within one region; one that does not is refused.
 *
 * @param onChange - the memory moved, or went away
 */
export function openRing(space: VirtAddressSpace, parts: readonly RingPart[], onChange: () => void): readonly Vmap[] | RingRefusal {
  const windows: Vmap[] = [];
  for (const { address, length, alignment, write } of parts) {
    const refusal = address % alignment !== 0 ? { code: "misaligned" as const, value: address } : undefined;
    const window = refusal ?? tryWindow(space, address, length, write, onChange);
    if (!("u8" in window)) {
      for (const each of windows) each[Symbol.dispose]();
      return window;
    }
    windows.push(window);
  }
  return windows;
}

function tryWindow(space: VirtAddressSpace, address: number, length: number, write: boolean, onChange: () => void): Vmap | RingRefusal {
  const place = tryGpa(address);
  if (place === undefined || space.released) return { code: "ring-unmapped", value: address };
  // The queue marks what it writes: a ring that is always dirty would never let a migration end.
  const window = space.tryVmap(place, length, { write, marks: true, onChange });
  return window instanceof AccessFault ? { code: "ring-unmapped", value: window.address } : window;
}
