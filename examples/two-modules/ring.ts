/**
 * The format on which the two modules agree, as a driver and a device agree on a specification: a head, a tail and slots.
 * It lies in guest memory; whoever has a window on it can use it.
 */
import type { Vmap } from "@virtspace/virt-address-space";

const HEAD = 0;
const TAIL = 1;
const SLOTS = 16;
const COUNT = 8;
const SLOT_BYTES = 64;

/** Bytes of the ring in guest memory. */
export const RING_BYTES: number = SLOTS * 4 + COUNT * SLOT_BYTES;

const slot = (index: number): number => SLOTS * 4 + (index % COUNT) * SLOT_BYTES;

/** Puts a line into the ring. @returns false where the ring is full, or its window was revoked */
export function push(ring: Vmap, line: string): boolean {
  if (!ring.valid) return false;
  const head = Atomics.load(ring.u32, HEAD);
  if (head - Atomics.load(ring.u32, TAIL) >= COUNT) return false;
  const text = new TextEncoder().encode(line).subarray(0, SLOT_BYTES - 1);
  ring.u8[slot(head)] = text.length;
  ring.u8.set(text, slot(head) + 1);
  // The slot first, the index after it: a reader that sees the index sees the slot.
  Atomics.store(ring.u32, HEAD, head + 1);
  return true;
}

/** Takes a line out of the ring. @returns undefined where it is empty, or its window was revoked */
export function pop(ring: Vmap): string | undefined {
  if (!ring.valid) return undefined;
  const tail = Atomics.load(ring.u32, TAIL);
  if (tail === Atomics.load(ring.u32, HEAD)) return undefined;
  const length = Math.min(ring.u8[slot(tail)] ?? 0, SLOT_BYTES - 1);
  // TextDecoder refuses shared memory: it gets a copy.
  const line = new TextDecoder().decode(ring.u8.slice(slot(tail) + 1, slot(tail) + 1 + length));
  Atomics.store(ring.u32, TAIL, tail + 1);
  return line;
}
