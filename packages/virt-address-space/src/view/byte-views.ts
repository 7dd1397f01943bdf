/** Bytes as an array and as a DataView at once: which of them copies faster depends on how much. @module */

/** Two views of the same bytes. */
export interface ByteViews {
  /** The bytes as an array. */
  readonly bytes: Uint8Array;
  /** The same bytes. */
  readonly data: DataView;
}

/**
 * Up to here a loop over words is faster than making a view of a part of the source. The words are 64 bits: the compiler keeps
 * a bigint that only goes from one view to the other in a register.
 */
const SMALL = 256;

/** Copies bytes that both have; they may overlap. */
export function copyViews(source: ByteViews, from: number, target: ByteViews, to: number, length: number): void {
  if (length > SMALL) target.bytes.set(source.bytes.subarray(from, from + length), to);
  // Which buffers they are costs more to ask than the copy: this order is right in the same one, and as good in others.
  else if (source.data.byteOffset + from < target.data.byteOffset + to) copyDown(source.data, from, target.data, to, length);
  else copyUp(source.data, from, target.data, to, length);
}

function copyUp(source: DataView, from: number, target: DataView, to: number, length: number): void {
  let i = 0;
  for (; i + 8 <= length; i += 8) target.setBigUint64(to + i, source.getBigUint64(from + i, true), true);
  if (i + 4 <= length) {
    target.setUint32(to + i, source.getUint32(from + i, true), true);
    i += 4;
  }
  for (; i < length; i++) target.setUint8(to + i, source.getUint8(from + i));
}

function copyDown(source: DataView, from: number, target: DataView, to: number, length: number): void {
  let i = length;
  for (; i >= 8; i -= 8) target.setBigUint64(to + i - 8, source.getBigUint64(from + i - 8, true), true);
  if (i >= 4) {
    target.setUint32(to + i - 4, source.getUint32(from + i - 4, true), true);
    i -= 4;
  }
  for (; i > 0; i--) target.setUint8(to + i - 1, source.getUint8(from + i - 1));
}
