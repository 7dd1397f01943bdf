/** Sets of feature bits, up to 128 of them. @module */
import { VirtioError } from "../error/virtio-error.ts";

const BITS = 128;

/**
 * An immutable set of feature bits 0 to 127. Network devices go past bit 63, so neither a number nor one 64-bit word will do.
 *
 * @see virtio 1.3, section 2.2
 */
export class FeatureSet implements Iterable<number> {
  /** No feature. */
  static readonly none: FeatureSet = new FeatureSet(0n);
  readonly #bits: bigint;

  private constructor(bits: bigint) {
    this.#bits = bits;
  }

  /**
   * A set of some bits.
   *
   * @throws {@link VirtioError} `invalid-feature` for what is no bit from 0 to 127
   */
  static of(...bits: readonly number[]): FeatureSet {
    let all = 0n;
    for (const bit of bits) {
      if (!Number.isInteger(bit) || bit < 0 || bit >= BITS) {
        throw new VirtioError("invalid-feature", `${bit} is no feature bit: give integers from 0 to ${BITS - 1}`, { bit });
      }
      all |= 1n << BigInt(bit);
    }
    return new FeatureSet(all);
  }

  /** A set of the bits of a number; those past 127 are dropped. */
  static fromBigInt(bits: bigint): FeatureSet {
    return new FeatureSet(BigInt.asUintN(BITS, bits));
  }

  /** A set of four 32-bit words, the lowest first, as registers and messages carry them; words that are missing are 0. */
  static fromWords(words: readonly number[]): FeatureSet {
    let bits = 0n;
    for (const [i, word] of words.slice(0, BITS / 32).entries()) bits |= BigInt(word >>> 0) << BigInt(32 * i);
    return new FeatureSet(bits);
  }

  /** Whether a bit is set. */
  has(bit: number): boolean {
    return ((this.#bits >> BigInt(bit)) & 1n) === 1n;
  }

  /** The bits of both. */
  or(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.#bits | other.#bits);
  }

  /** The bits that both have. */
  and(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.#bits & other.#bits);
  }

  /** The bits that the other has not. */
  minus(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.#bits & ~other.#bits);
  }

  /** Whether the other has all bits of this set. */
  isSubsetOf(other: FeatureSet): boolean {
    return (this.#bits & ~other.#bits) === 0n;
  }

  /** Whether both have the same bits. */
  equals(other: FeatureSet): boolean {
    return this.#bits === other.#bits;
  }

  /** One of the four 32-bit words, the lowest first; 0 for others. */
  word(index: number): number {
    return index >= 0 && index < BITS / 32 ? Number((this.#bits >> BigInt(32 * index)) & 0xffff_ffffn) : 0;
  }

  /** The bits as a number. */
  toBigInt(): bigint {
    return this.#bits;
  }

  /** The bits that are set, in order. */
  *[Symbol.iterator](): Iterator<number> {
    for (let bit = 0; bit < BITS; bit++) if (this.has(bit)) yield bit;
  }

  /** As hexadecimal digits. */
  toString(): string {
    return `0x${this.#bits.toString(16)}`;
  }
}
