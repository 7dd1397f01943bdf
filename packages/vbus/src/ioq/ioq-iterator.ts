/** A walk along a ring. @module */
import type { Vmap } from "@virtspace/virt-address-space";
import { type ErrnoName, isErrno } from "../errno/errno.ts";
import type { ShmSignal } from "../signal/shm-signal.ts";
import type { Locale } from "../signal/shm-signal-layout.ts";
import { DescOffset, IndexOffset, IOQ_DESC_SIZE, type IoqIndex, IoqOffset } from "./ioq-layout.ts";

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

/** What it walks. A window that was revoked reads as nothing. */
export interface IoqMemory {
  readonly window: Vmap;
  readonly locale: Locale;
  readonly count: number;
  readonly signal: ShmSignal;
}

// Places are in words of 32 bits: a ring is walked for each frame, and each array that is asked for twice shows.
const HEAD = IndexOffset.head >> 2;
const TAIL = IndexOffset.tail >> 2;
const FULL = IndexOffset.full;
const RING = IoqOffset.ring >> 2;
const DESC = IOQ_DESC_SIZE >> 2;
const COOKIE = DescOffset.cookie >> 2;
const PTR = DescOffset.ptr >> 2;
const LEN = DescOffset.len >> 2;
/** The word with both {@link DescOffset.valid} and {@link DescOffset.sown}: one look at either. */
const FLAGS = DescOffset.valid >> 2;
const VALID = 0xff;
const SOWN = 0xff00;
const INDEX_BYTES = 12;

/**
 * A place in a ring, and the descriptor there. Whoever pushes or pops gives the descriptor to the other side, and tells it by the ring's
 * signal; what is not his, or not at the end of its index, he can't. Every word is read once, checked, and then used.
 */
export class IoqIterator {
  readonly #window: Vmap;
  readonly #signal: ShmSignal;
  readonly #count: number;
  readonly #south: boolean;
  /** Where its index begins, and where one begins that moves with it. */
  readonly #index: number;
  readonly #with: number | undefined;
  readonly #options: IoqIteratorOptions;
  #position = 0;
  #at = RING;

  /** @internal */
  constructor({ window, locale, count, signal }: IoqMemory, index: IoqIndex, options: IoqIteratorOptions) {
    this.#window = window;
    this.#signal = signal;
    this.#count = count;
    this.#south = locale === "south";
    this.#index = IoqOffset[index] >> 2;
    this.#with = options.both ? IoqOffset[index === "valid" ? "inuse" : "valid"] >> 2 : undefined;
    this.#options = options;
  }

  /** Where it is. */
  get position(): number {
    return this.#position;
  }

  /** Whether the descriptor is this side's. */
  get mine(): boolean {
    return (((this.#window.u32[this.#at + FLAGS] ?? 0) & SOWN) !== 0) === this.#south;
  }

  /** The north's own word: the host never looks at it. */
  get cookie(): number {
    return this.#quad(COOKIE);
  }

  /** Sets it. */
  set cookie(value: number) {
    this.#setQuad(COOKIE, value);
  }

  /** Where the descriptor's memory is: by the other side's word. */
  get ptr(): number {
    return this.#quad(PTR);
  }

  /** Sets it. */
  set ptr(value: number) {
    this.#setQuad(PTR, value);
  }

  /** How long it is, bytes. */
  get len(): number {
    return this.#quad(LEN);
  }

  /** Sets it. */
  set len(value: number) {
    this.#setQuad(LEN, value);
  }

  /** Whether the descriptor says something. */
  get valid(): boolean {
    return ((this.#window.u32[this.#at + FLAGS] ?? 0) & VALID) !== 0;
  }

  /** Sets it. */
  set valid(value: boolean) {
    this.#setByte(4 * this.#at + DescOffset.valid, value ? 1 : 0);
  }

  /**
   * Goes to another place.
   *
   * @param position - for `set`
   * @returns 0; `EINVAL` for a place that there is not, or an index that was written over
   */
  seek(where: IoqSeek, position = 0): 0 | ErrnoName {
    const found = where === "next" ? this.#after(this.#position) : where === "set" ? position : this.#end(where);
    if (isErrno(found)) return found;
    if (!Number.isInteger(found) || found < 0 || found >= this.#count) return "EINVAL";
    this.#goTo(found);
    return 0;
  }

  /**
   * Goes to an end of its index where a descriptor waits: {@link seek}, {@link mine} and {@link valid} in one, for whoever does it for each
   * frame.
   *
   * @returns whether one does; else it stays where it was
   */
  reach(where: "head" | "tail"): boolean {
    const { u32 } = this.#window;
    const position = u32[this.#index + (where === "head" ? HEAD : TAIL)] ?? this.#count;
    if (position >= this.#count) return false;
    const at = RING + position * DESC;
    const flags = u32[at + FLAGS] ?? 0;
    if ((flags & VALID) === 0 || ((flags & SOWN) !== 0) !== this.#south) return false;
    this.#position = position;
    this.#at = at;
    return true;
  }

  /** Gives the descriptor at the tail to the other side. @returns 0; `EINVAL` where it is not at the tail or not this side's */
  push(): 0 | ErrnoName {
    const { u32, u8 } = this.#window;
    const index = this.#index;
    if ((u8[4 * index + FULL] ?? 0) !== 0 || u32[index + TAIL] !== this.#position || !this.mine) return "EINVAL";
    const next = this.#after(this.#position);
    this.#pushed(index, next);
    if (this.#with !== undefined) this.#pushed(this.#with, next);
    return this.#pass(next);
  }

  /** Takes the descriptor at the head out, and gives it back. @returns 0; `EINVAL` where it is not at the head or not this side's */
  pop(): 0 | ErrnoName {
    if (this.#window.u32[this.#index + HEAD] !== this.#position || !this.mine) return "EINVAL";
    const next = this.#after(this.#position);
    this.#popped(this.#index, next);
    if (this.#with !== undefined) this.#popped(this.#with, next);
    return this.#pass(next);
  }

  #pushed(index: number, next: number): void {
    const { u32 } = this.#window;
    u32[index + TAIL] = next;
    if (u32[index + HEAD] === next) {
      this.#setByte(4 * index + FULL, 1);
      // A pop between the look and the word has said before it that there is room: it would be full with nothing to pop.
      if (u32[index + HEAD] !== next) this.#setByte(4 * index + FULL, 0);
    }
    this.#window.markDirty(4 * index, INDEX_BYTES);
  }

  #popped(index: number, next: number): void {
    const { u32, u8 } = this.#window;
    u32[index + HEAD] = next;
    // Mostly it is what it was.
    if (u8[4 * index + FULL] !== 0) this.#setByte(4 * index + FULL, 0);
    this.#window.markDirty(4 * index, INDEX_BYTES);
  }

  /** Index, owner, signal: in this order the other side may look at any time. */
  #pass(next: number): 0 {
    if (!this.#options.keepOwner) {
      this.#setByte(4 * this.#at + DescOffset.sown, this.#south ? 0 : 1);
      if (!this.#options.quiet) this.#signal.inject();
    }
    if (this.#options.autoUpdate) this.#goTo(next);
    return 0;
  }

  #goTo(position: number): void {
    this.#position = position;
    this.#at = RING + position * DESC;
  }

  #after(position: number): number {
    return position + 1 === this.#count ? 0 : position + 1;
  }

  #end(where: "head" | "tail"): number | ErrnoName {
    return this.#window.u32[this.#index + (where === "head" ? HEAD : TAIL)] ?? "EINVAL";
  }

  /** A number of 64 bits; too large a one is that many bytes past any memory. */
  #quad(word: number): number {
    const { u32 } = this.#window;
    const at = this.#at + word;
    return (u32[at] ?? 0) + (u32[at + 1] ?? 0) * 2 ** 32;
  }

  #setQuad(word: number, value: number): void {
    const { u32 } = this.#window;
    const at = this.#at + word;
    u32[at] = value;
    u32[at + 1] = value / 2 ** 32;
    this.#window.markDirty(4 * at, 8);
  }

  /** Stored after all that was written before, for a side in another thread too. */
  #setByte(at: number, value: number): void {
    const { u8 } = this.#window;
    if (u8.length === 0) return;
    Atomics.store(u8, at, value);
    this.#window.markDirty(at, 1);
  }
}
