/** A ring's words in shared memory, for what walks it. Each is read once, checked, and then used. @module */

import type { Vmap } from "@virtspace/virt-address-space";
import type { ErrnoName } from "../errno/errno.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import type { ShmSignal } from "../signal/shm-signal.ts";
import type { Locale } from "../signal/shm-signal-layout.ts";
import { IndexOffset, IOQ_DESC_SIZE, IoqOffset } from "./ioq-layout.ts";

/** A ring's memory. A window that was revoked reads as nothing. */
export class IoqWords {
  readonly locale: Locale;
  readonly count: number;
  readonly signal: ShmSignal;
  readonly #window: Vmap;

  constructor(shm: VbusShm, locale: Locale, signal: ShmSignal, count: number) {
    this.#window = shm.window;
    this.locale = locale;
    this.signal = signal;
    this.count = count;
  }

  /** @param index - where the index begins: a name would cost a look-up each time */
  position(index: number, end: number): number | ErrnoName {
    const position = this.#words[(index + end) >> 2];
    return position === undefined || position >= this.count ? "EINVAL" : position;
  }

  setPosition(index: number, end: number, position: number): void {
    this.#set(index + end, position);
  }

  isFull(index: number): boolean {
    return (this.#window.u8[index + IndexOffset.full] ?? 0) !== 0;
  }

  setFull(index: number, full: boolean): void {
    const at = index + IndexOffset.full;
    // Mostly it is what it was.
    if (this.isFull(index) !== full) this.setByte(at, full ? 1 : 0);
  }

  byte(at: number): number {
    return this.#window.u8[at] ?? 0;
  }

  /** Stored after all that was written before, for a side in another thread too. */
  setByte(at: number, value: number): void {
    const window = this.#window;
    if (window.u8.length === 0) return;
    Atomics.store(window.u8, at, value);
    window.markDirty(at, 1);
  }

  /** A number of 64 bits; too large a one is that many bytes past any memory. */
  quad(at: number): number {
    const words = this.#words;
    const word = at >> 2;
    return (words[word] ?? 0) + (words[word + 1] ?? 0) * 2 ** 32;
  }

  setQuad(at: number, value: number): void {
    const words = this.#words;
    if (words.length === 0) return;
    words[at >> 2] = value;
    words[(at >> 2) + 1] = value / 2 ** 32;
    this.#window.markDirty(at, 8);
  }

  get #words(): Uint32Array {
    return this.#window.u32;
  }

  #set(at: number, value: number): void {
    const words = this.#words;
    if (words.length === 0) return;
    words[at >> 2] = value;
    this.#window.markDirty(at, 4);
  }
}

/** Where a descriptor begins, bytes. */
export function descAt(position: number): number {
  return IoqOffset.ring + position * IOQ_DESC_SIZE;
}
