/** CRC-32C (Castagnoli), eight bytes at a step. @module */

const POLYNOMIAL = 0x82f6_3b78;
const SLICES = 8;

const tables = /* @__PURE__ */ makeTables();

function makeTables(): Int32Array {
  const made = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    made[byte] = crc;
  }
  for (let at = 256; at < made.length; at++) {
    const before = made[at - 256] as number;
    made[at] = (before >>> 8) ^ (made[before & 0xff] as number);
  }
  return made;
}

/**
 * Carries a checksum on over more bytes.
 *
 * @param crc - of the bytes before; 0 at the start
 * @returns an unsigned 32-bit number
 * @see RFC 3720, appendix B.4, whose test vectors it passes
 */
export function crc32c(bytes: Uint8Array, crc = 0): number {
  const t = tables;
  let value = ~crc;
  let at = 0;
  const whole = bytes.length - (bytes.length % SLICES);
  for (; at < whole; at += SLICES) {
    const low =
      value ^
      ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24));
    value =
      (t[1792 + (low & 0xff)] as number) ^
      (t[1536 + ((low >>> 8) & 0xff)] as number) ^
      (t[1280 + ((low >>> 16) & 0xff)] as number) ^
      (t[1024 + (low >>> 24)] as number) ^
      (t[768 + (bytes[at + 4] as number)] as number) ^
      (t[512 + (bytes[at + 5] as number)] as number) ^
      (t[256 + (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number);
  }
  for (; at < bytes.length; at++) value = (value >>> 8) ^ (t[(value ^ (bytes[at] as number)) & 0xff] as number);
  return ~value >>> 0;
}
