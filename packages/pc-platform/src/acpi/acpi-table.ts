/** A table with the header that all of them share. @see ACPI Specification 6.5, section 5.2.6 @module */
import { asciiBytes } from "../text/ascii.ts";

const HEADER = 36;

/** A table under construction. */
export class AcpiTable {
  readonly #bytes: number[];

  /** @param length - bytes from the start that are 0 unless they are put */
  constructor(signature: string, revision: number, length: number = HEADER) {
    this.#bytes = Array.from({ length }, () => 0);
    const text = (offset: number, characters: string): void => {
      this.#bytes.splice(offset, characters.length, ...asciiBytes(characters));
    };
    text(0, signature);
    this.#bytes[8] = revision;
    text(10, "VIRTSP");
    text(16, "VIRTSPAC");
    this.#bytes[24] = 1;
    text(28, "VSPC");
    this.#bytes[32] = 1;
  }

  /** Sets a little-endian number. */
  put(offset: number, size: number, value: number): this {
    for (let i = 0; i < size; i++) this.#bytes[offset + i] = Math.floor(value / 2 ** (8 * i)) % 256;
    return this;
  }

  /** Adds bytes at the end. */
  bytes(...bytes: readonly number[]): this {
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  /** With its length and the checksum that makes the sum of its bytes 0. */
  done(): Uint8Array {
    this.put(4, 4, this.#bytes.length);
    this.#bytes[9] = -this.#bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
    return Uint8Array.from(this.#bytes);
  }
}
