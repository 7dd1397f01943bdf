/** A walk along a ring. @module */
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import { DescOffset, IndexOffset, type IoqIndex, IoqOffset } from "./ioq-layout.ts";
import { descAt, type IoqWords } from "./ioq-words.ts";

/** How it walks. */
export interface IoqIteratorOptions {
  /** Goes on to the next place of its index after each push and pop. */
  readonly autoUpdate?: boolean;
  /** Leaves descriptors its own side's. */
  readonly keepOwner?: boolean;
  /** Leaves it to its user to tell the other side, once for many. */
  readonly quiet?: boolean;
  /** Moves both indices with each push and pop. */
  readonly both?: boolean;
}

/** Where to. */
export type IoqSeek = "head" | "tail" | "next" | "set";

const SOUTH = 1;

/**
 * A place in a ring, and the descriptor there. Whoever pushes or pops gives the descriptor to the other side, and tells it by the ring's
 * signal; what is not his, or not at the end of its index, he can't.
 */
export class IoqIterator {
  readonly #ioq: IoqWords;
  /** Where its index begins, and where those begin that move with it. */
  readonly #index: number;
  readonly #moved: readonly number[];
  readonly #options: IoqIteratorOptions;
  readonly #mine: number;
  #position = 0;
  #at = descAt(0);

  /** @internal */
  constructor(ioq: IoqWords, index: IoqIndex, options: IoqIteratorOptions) {
    this.#ioq = ioq;
    this.#index = IoqOffset[index];
    this.#moved = options.both ? [IoqOffset.valid, IoqOffset.inuse] : [this.#index];
    this.#options = options;
    this.#mine = ioq.locale === "south" ? SOUTH : 0;
  }

  /** Where it is. */
  get position(): number {
    return this.#position;
  }

  /** Whether the descriptor is this side's. */
  get mine(): boolean {
    return (this.#ioq.byte(this.#at + DescOffset.sown) === 0 ? 0 : SOUTH) === this.#mine;
  }

  /** The north's own word: the host never looks at it. */
  get cookie(): number {
    return this.#ioq.quad(this.#at + DescOffset.cookie);
  }

  /** Sets it. */
  set cookie(value: number) {
    this.#ioq.setQuad(this.#at + DescOffset.cookie, value);
  }

  /** Where the descriptor's memory is: by the other side's word. */
  get ptr(): number {
    return this.#ioq.quad(this.#at + DescOffset.ptr);
  }

  /** Sets it. */
  set ptr(value: number) {
    this.#ioq.setQuad(this.#at + DescOffset.ptr, value);
  }

  /** How long it is, bytes. */
  get len(): number {
    return this.#ioq.quad(this.#at + DescOffset.len);
  }

  /** Sets it. */
  set len(value: number) {
    this.#ioq.setQuad(this.#at + DescOffset.len, value);
  }

  /** Whether the descriptor says something. */
  get valid(): boolean {
    return this.#ioq.byte(this.#at + DescOffset.valid) !== 0;
  }

  /** Sets it. */
  set valid(value: boolean) {
    this.#ioq.setByte(this.#at + DescOffset.valid, value ? 1 : 0);
  }

  /**
   * Goes to another place.
   *
   * @param position - for `set`
   * @returns 0; `EINVAL` for a place that there is not, or an index that was written over
   */
  seek(where: IoqSeek, position = 0): 0 | ErrnoName {
    const found =
      where === "next" ? this.#after(this.#position) : where === "set" ? position : this.#ioq.position(this.#index, IndexOffset[where]);
    if (isErrno(found)) return found;
    if (!Number.isInteger(found) || found < 0 || found >= this.#ioq.count) return "EINVAL";
    this.#position = found;
    this.#at = descAt(found);
    return 0;
  }

  /** Gives the descriptor at the tail to the other side. @returns 0; `EINVAL` where it is not at the tail or not this side's */
  push(): 0 | ErrnoName {
    if (this.#ioq.isFull(this.#index)) return "EINVAL";
    if (this.#ioq.position(this.#index, IndexOffset.tail) !== this.#position || !this.mine) return "EINVAL";
    const next = this.#after(this.#position);
    for (const index of this.#moved) {
      this.#ioq.setPosition(index, IndexOffset.tail, next);
      if (this.#ioq.position(index, IndexOffset.head) !== next) continue;
      this.#ioq.setFull(index, true);
      // A pop between the look and the word has said before it that there is room: it would be full with nothing to pop.
      if (this.#ioq.position(index, IndexOffset.head) !== next) this.#ioq.setFull(index, false);
    }
    return this.#pass(next);
  }

  /** Takes the descriptor at the head out, and gives it back. @returns 0; `EINVAL` where it is not at the head or not this side's */
  pop(): 0 | ErrnoName {
    if (this.#ioq.position(this.#index, IndexOffset.head) !== this.#position || !this.mine) return "EINVAL";
    const next = this.#after(this.#position);
    for (const index of this.#moved) {
      this.#ioq.setPosition(index, IndexOffset.head, next);
      this.#ioq.setFull(index, false);
    }
    return this.#pass(next);
  }

  /** Index, owner, signal: in this order the other side may look at any time. */
  #pass(next: number): 0 {
    if (!this.#options.keepOwner) {
      this.#ioq.setByte(this.#at + DescOffset.sown, this.#mine === SOUTH ? 0 : SOUTH);
      if (!this.#options.quiet) this.#ioq.signal.inject();
    }
    if (this.#options.autoUpdate) {
      this.#position = next;
      this.#at = descAt(next);
    }
    return 0;
  }

  #after(position: number): number {
    return position + 1 === this.#ioq.count ? 0 : position + 1;
  }
}
