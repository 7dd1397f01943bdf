/** The internet's checksum. @module */

/** Adds bytes up as the internet's checksums do; `sum` carries on from other bytes. @see RFC 1071 */
export function partialSum(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum;
  for (let at = from; at < to; at += 2) total += (bytes[at] as number) * 256 + (at + 1 < to ? (bytes[at + 1] as number) : 0);
  return total;
}

/** Ends a checksum: 0 over bytes whose checksum is right. */
export function foldedSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}
