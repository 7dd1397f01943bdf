/**
 * The machine language in which ACPI describes devices, as far as a machine without methods needs it: names, values, devices and
 * resources.
 *
 * @see ACPI Specification 6.5, chapter 20, and section 6.4
 * @module
 */
import { asciiBytes } from "../text/ascii.ts";

/** Encoded terms. */
export type Aml = readonly number[];

const Op = {
  zero: 0x00,
  one: 0x01,
  name: 0x08,
  byte: 0x0a,
  word: 0x0b,
  dword: 0x0c,
  string: 0x0d,
  scope: 0x10,
  buffer: 0x11,
  package: 0x12,
};
const DEVICE = [0x5b, 0x82];
/** The longest that follows one byte of length. */
const SHORT = 63;

const little = (value: number, bytes: number): number[] => Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);

/** A whole number of at most 32 bits. */
export function integer(value: number): Aml {
  if (value < 2) return [value === 0 ? Op.zero : Op.one];
  if (value < 2 ** 8) return [Op.byte, value];
  return value < 2 ** 16 ? [Op.word, ...little(value, 2)] : [Op.dword, ...little(value, 4)];
}

/** Text of ASCII. */
export function string(text: string): Aml {
  return [Op.string, ...asciiBytes(text), 0];
}

/** An object with a name of four characters. */
export function name(segment: string, value: Aml): Aml {
  return [Op.name, ...asciiBytes(segment), ...value];
}

/** Objects below a name. */
export function scope(path: string, ...terms: readonly Aml[]): Aml {
  return [Op.scope, ...sized([...asciiBytes(path), ...terms.flat()])];
}

/** A device with a name of four characters. */
export function device(segment: string, ...terms: readonly Aml[]): Aml {
  return [...DEVICE, ...sized([...asciiBytes(segment), ...terms.flat()])];
}

/** Values in a row. */
export function packageOf(...values: readonly Aml[]): Aml {
  return [Op.package, ...sized([values.length, ...values.flat()])];
}

/** The number that stands for an identifier of three letters and four hexadecimal digits. */
export function eisaId(id: string): Aml {
  const letter = (i: number): number => id.charCodeAt(i) - 0x40;
  const number = (letter(0) << 26) | (letter(1) << 21) | (letter(2) << 16) | Number.parseInt(id.slice(3), 16);
  // Its bytes stand the other way round.
  return [Op.dword, ...little(number >>> 0, 4).reverse()];
}

/** A list of resources. */
export function resources(...descriptors: readonly Aml[]): Aml {
  const END = [0x79, 0];
  const bytes = [...descriptors.flat(), ...END];
  return [Op.buffer, ...sized([...integer(bytes.length), ...bytes])];
}

/** Registers in memory. */
export function memory32(base: number, length: number): Aml {
  const WRITABLE = 1;
  return [0x86, ...little(9, 2), WRITABLE, ...little(base, 4), ...little(length, 4)];
}

/** Ports. */
export function ports(base: number, length: number): Aml {
  const SIXTEEN_BITS = 1;
  return [0x47, SIXTEEN_BITS, ...little(base, 2), ...little(base, 2), 1, length];
}

/** An interrupt line: an edge of a line that is nobody else's, or a level, high, of one that may be shared. */
export function interrupt(line: number, trigger: "edge" | "level"): Aml {
  const flags = trigger === "edge" ? 0b0011 : 0b1001;
  return [0x89, ...little(6, 2), flags, 1, ...little(line, 4)];
}

/** What follows an opcode: its length, which counts itself, and it. */
function sized(body: readonly number[]): number[] {
  if (body.length + 1 <= SHORT) return [body.length + 1, ...body];
  const more = body.length + 2 < 2 ** 12 ? 1 : 2;
  const length = body.length + 1 + more;
  return [(more << 6) | (length & 15), ...little(length >> 4, more), ...body];
}
