/**
 * A packed ring as the memory has it, for who has to find out what became of it: places, what was used, and what lies ahead.
 *
 * @see virtio 1.3, section 2.8
 * @module
 */
import type { InFlightBuffer, JournalledBuffer, RingDescriptor } from "@virtspace/virtio";

const WORDS = 4;
const DESCRIPTOR_BYTES = 4 * WORDS;
const FLAGS_AT = 14;
const NEXT = 1;
const AVAIL_SHIFT = 7;
const USED_SHIFT = 15;

/** A place in the ring, with the wrap counter of its lap. */
export interface Place {
  readonly at: number;
  readonly wrap: number;
}

/** The place of VRING_BASE's number, and of a queue's state; a ring need not have it. */
export const placeOf = (number: number): Place => ({ at: number & 0x7fff, wrap: (number >>> 15) & 1 });

/** Its number. */
export const numberOf = ({ at, wrap }: Place): number => at | (wrap << 15);

/** Whether two are the same. */
export const isSame = (one: Place, other: Place): boolean => numberOf(one) === numberOf(other);

/** The place some descriptors behind another, no more than the ring has. */
export function behind({ at, wrap }: Place, descriptors: number, size: number): Place {
  const next = at + descriptors;
  return next < size ? { at: next, wrap } : { at: next - size, wrap: wrap ^ 1 };
}

/** Descriptors from one place to another. */
export function distance(from: Place, to: Place, size: number): number {
  const linear = ({ at, wrap }: Place): number => (wrap === 1 ? at : at + size);
  return (linear(to) - linear(from) + 2 * size) % (2 * size);
}

const flagsAt = (ring: DataView, at: number): number => ring.getUint16(DESCRIPTOR_BYTES * at + FLAGS_AT, true);

/** Whether a descriptor is a used one of its place's lap. */
export const wasUsed = (ring: DataView, { at, wrap }: Place): boolean => ((flagsAt(ring, at) >>> USED_SHIFT) & 1) === wrap;

const wasOffered = (ring: DataView, place: Place): boolean =>
  !wasUsed(ring, place) && ((flagsAt(ring, place.at) >>> AVAIL_SHIFT) & 1) === place.wrap;

/** The flags of a descriptor that the driver has offered in its place's lap, and nobody used. */
export const offeredFlags = ({ wrap }: Place): number => (wrap === 1 ? 1 << AVAIL_SHIFT : 1 << USED_SHIFT);

/** A ring with nothing behind what was offered from its first descriptor on: its driver may have begun anew. */
export function isFresh(ring: DataView): boolean {
  const end = ring.byteLength / DESCRIPTOR_BYTES;
  let at = 0;
  while (at < end && wasOffered(ring, { at, wrap: 1 })) at++;
  for (let i = DESCRIPTOR_BYTES * at; i < ring.byteLength; i += 4) if (ring.getUint32(i, true) !== 0) return false;
  return true;
}

/** The address in a descriptor. */
export const addressAt = (ring: DataView, at: number): bigint => ring.getBigUint64(DESCRIPTOR_BYTES * at, true);

/** A buffer that no back-end has taken. */
export interface BufferAhead {
  readonly id: number;
  readonly slots: number;
  /** Its descriptors as in the ring; those of one that was used have no bytes, which no driver may make. */
  readonly words: Uint32Array;
}

/**
 * The buffers that follow a place, whether they were used or not.
 *
 * @param length - descriptors that they have together, no more than the ring
 * @returns undefined where there are no such
 */
export function buffersAhead(ring: DataView, size: number, first: Place, length: number): readonly BufferAhead[] | undefined {
  const found: BufferAhead[] = [];
  const place = (at: number): Place => behind(first, at, size);
  const used = (at: number): boolean => wasUsed(ring, place(at));
  for (let start = 0; start < length; ) {
    let at = start;
    while (at < length && wasOffered(ring, place(at)) && (flagsAt(ring, place(at).at) & NEXT) !== 0) at++;
    const last = at++;
    if (last === length) return undefined;
    const isUsed = used(last);
    if (!isUsed && !wasOffered(ring, place(last))) return undefined;
    // Of a used buffer only one descriptor says so, and who knows no better where a buffer begins begins within one.
    while (isUsed && at < length && !used(at)) at++;
    found.push(bufferAt(ring, size, place(start), at - start, isUsed ? place(last) : undefined));
    start = at;
  }
  return found;
}

/** @param used - the descriptor that says that it was used, where one does; it has the id, as the last one has it else */
function bufferAt(ring: DataView, size: number, first: Place, slots: number, used: Place | undefined): BufferAhead {
  const words = new Uint32Array(WORDS * slots);
  const word = (place: Place, i: number): number => ring.getUint32(DESCRIPTOR_BYTES * place.at + 4 * i, true);
  const id = word(used ?? behind(first, slots - 1, size), WORDS - 1) & 0xffff;
  if (used === undefined) words.forEach((_, i) => (words[i] = word(behind(first, Math.floor(i / WORDS), size), i % WORDS)));
  else words[words.length - 1] = id;
  return { id, slots, words };
}

/** A buffer that is to be processed again; or, where it has no bytes, given back. */
export function bufferOf(id: number, descriptors: readonly RingDescriptor[]): InFlightBuffer | JournalledBuffer {
  const slots = descriptors.length;
  const isDone = descriptors[0]?.[1] === 0;
  return isDone ? { id, slots, readable: [], writable: [], written: 0 } : { id, slots, descriptors };
}

/** The descriptors in some words. */
export function descriptorsOf(words: Uint32Array): readonly RingDescriptor[] {
  return Array.from({ length: words.length / WORDS }, (_, i) => {
    const [low, high, length, last] = words.subarray(WORDS * i, WORDS * (i + 1)) as unknown as [number, number, number, number];
    return [low + high * 2 ** 32, length, last >>> 16];
  });
}
