/** A ring's words in shared memory, for what walks it. Each is read once, checked, and then used. @module */
import type { ErrnoName } from "../errno/errno.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import type { ShmSignal } from "../signal/shm-signal.ts";
import type { Locale } from "../signal/shm-signal-layout.ts";
import { IndexOffset, IOQ_DESC_SIZE, type IoqIndex, IoqOffset } from "./ioq-layout.ts";

/** A ring's memory. A window that was revoked reads as nothing. */
export class IoqWords {
  readonly locale: Locale;
  readonly count: number;
  readonly signal: ShmSignal;
  readonly #shm: VbusShm;

  constructor(shm: VbusShm, locale: Locale, signal: ShmSignal, count: number) {
    this.#shm = shm;
    this.locale = locale;
    this.signal = signal;
    this.count = count;
  }

  position(index: IoqIndex, end: "head" | "tail"): number | ErrnoName {
    const position = this.#words[(IoqOffset[index] + IndexOffset[end]) >> 2];
    return position === undefined || position >= this.count ? "EINVAL" : position;
  }

  setPosition(index: IoqIndex, end: "head" | "tail", position: number): void {
    this.#set(IoqOffset[index] + IndexOffset[end], position);
  }

  isFull(index: IoqIndex): boolean {
    return (this.#shm.window.u8[IoqOffset[index] + IndexOffset.full] ?? 0) !== 0;
  }

  setFull(index: IoqIndex, full: boolean): void {
    this.setByte(IoqOffset[index] + IndexOffset.full, full ? 1 : 0);
  }

  byte(at: number): number {
    return this.#shm.window.u8[at] ?? 0;
  }

  /** Stored after all that was written before, for a side in another thread too. */
  setByte(at: number, value: number): void {
    const { window } = this.#shm;
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
    this.#shm.window.markDirty(at, 8);
  }

  get #words(): Uint32Array {
    return this.#shm.window.u32;
  }

  #set(at: number, value: number): void {
    const words = this.#words;
    if (words.length === 0) return;
    words[at >> 2] = value;
    this.#shm.window.markDirty(at, 4);
  }
}

/** Where a descriptor begins, bytes. */
export function descAt(position: number): number {
  return IoqOffset.ring + position * IOQ_DESC_SIZE;
}
