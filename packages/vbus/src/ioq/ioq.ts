/**
 * A ring of descriptors in shared memory. Who may touch a descriptor is written in it; what has been posted and what has been used, in two
 * indices. How many descriptors there are is read once and kept: the other side may write there what it likes.
 *
 * @module
 */

import { type ErrnoName, isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import type { VbusHost } from "../host/host.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import type { Locale } from "../signal/shm-signal-layout.ts";
import { IoqIterator, type IoqIteratorOptions } from "./ioq-iterator.ts";
import { IndexOffset, IOQ_DESC_SIZE, IOQ_HEAD_SIZE, IOQ_MAGIC, IOQ_VERSION, type IoqIndex, IoqOffset, ioqSize } from "./ioq-layout.ts";

/** More than any ring has. */
const MOST_DESCRIPTORS = 1 << 16;
const WORDS_PER_DESC = IOQ_DESC_SIZE / 4;

/** How a ring is had. */
export interface IoqOptions {
  /** Its bytes; the ring takes a reference. */
  readonly shm: VbusShm;
  /** Whose side this is. */
  readonly locale: Locale;
  /** Its signal. The ring disposes it. */
  readonly signal: ShmSignal;
}

/** One side's end of a ring. */
export class Ioq implements Disposable {
  /** Whose side this is. */
  readonly locale: Locale;
  /** How many descriptors it has. */
  readonly count: number;
  /** By which the sides wake each other. */
  readonly signal: ShmSignal;
  readonly #shm: VbusShm;
  #closed = false;

  private constructor({ shm, locale, signal }: IoqOptions, count: number) {
    this.#shm = shm.get();
    this.locale = locale;
    this.signal = signal;
    this.count = count;
  }

  /**
   * Writes a fresh ring, as the memory's owner does before it tells of it.
   *
   * @throws {@link VbusError} `invalid-argument` where the memory is not exactly as long as the ring
   */
  static create({ shm, count, inject, host }: { shm: VbusShm; count: number; inject: () => void; host?: VbusHost }): Ioq {
    if (!isCount(count, MOST_DESCRIPTORS) || shm.length !== ioqSize(count)) {
      throw new VbusError("invalid-argument", `a ring of ${count} descriptors wants ${ioqSize(count)} bytes, not ${shm.length}`);
    }
    const { window } = shm;
    window.u8.fill(0);
    const { data } = window;
    data.setUint32(IoqOffset.magic, IOQ_MAGIC, true);
    data.setUint32(IoqOffset.version, IOQ_VERSION, true);
    data.setUint32(IoqOffset.count, count, true);
    window.markDirty(0, window.length);
    ShmSignal.format(shm, IoqOffset.signal);
    const signal = new ShmSignal({ shm, offset: IoqOffset.signal, locale: "north", inject, ...(host !== undefined && { host }) });
    return new Ioq({ shm, locale: "north", signal }, count);
  }

  /**
   * Takes a ring that the other side made.
   *
   * @param most - the most descriptors that are taken
   * @returns the ring; `EINVAL` for one that makes no sense: then the signal is the caller's still
   */
  static attach(options: IoqOptions, most: number): Ioq | ErrnoName {
    const { window, length } = options.shm;
    if (length < IOQ_HEAD_SIZE || window.u32.length === 0) return "EINVAL";
    const { data } = window;
    if (data.getUint32(IoqOffset.magic, true) !== IOQ_MAGIC || data.getUint32(IoqOffset.version, true) !== IOQ_VERSION) return "EINVAL";
    const count = data.getUint32(IoqOffset.count, true);
    if (!isCount(count, most) || length !== ioqSize(count)) return "EINVAL";
    return new Ioq(options, count);
  }

  /** Walks the ring. */
  iterator(index: IoqIndex, options: IoqIteratorOptions = {}): IoqIterator {
    return new IoqIterator(this, index, options);
  }

  /** How many descriptors an index has between its head and its tail; `EINVAL` where it was written over. */
  used(index: IoqIndex): number | ErrnoName {
    const head = this.position(index, "head");
    const tail = this.position(index, "tail");
    if (isErrno(head)) return head;
    if (isErrno(tail)) return tail;
    if (head === tail) return this.isFull(index) ? this.count : 0;
    return tail > head ? tail - head : this.count - head + tail;
  }

  /** How many more an index takes. */
  remaining(index: IoqIndex): number | ErrnoName {
    const used = this.used(index);
    return isErrno(used) ? used : this.count - used;
  }

  /** Gives the memory and the signal back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.signal[Symbol.dispose]();
    this.#shm.put();
  }

  // For the iterator. Each word is read once, checked, and then used.

  /** @internal */
  position(index: IoqIndex, end: "head" | "tail"): number | ErrnoName {
    const position = this.#words[(IoqOffset[index] + IndexOffset[end]) >> 2];
    return position === undefined || position >= this.count ? "EINVAL" : position;
  }

  /** @internal */
  setPosition(index: IoqIndex, end: "head" | "tail", position: number): void {
    this.#set(IoqOffset[index] + IndexOffset[end], position);
  }

  /** @internal */
  isFull(index: IoqIndex): boolean {
    return (this.#shm.window.u8[IoqOffset[index] + IndexOffset.full] ?? 0) !== 0;
  }

  /** @internal */
  setFull(index: IoqIndex, full: boolean): void {
    this.setByte(IoqOffset[index] + IndexOffset.full, full ? 1 : 0);
  }

  /** @internal */
  byte(at: number): number {
    return this.#shm.window.u8[at] ?? 0;
  }

  /** @internal Stored after all that was written before, for a side in another thread too. */
  setByte(at: number, value: number): void {
    const { window } = this.#shm;
    if (window.u8.length === 0) return;
    Atomics.store(window.u8, at, value);
    window.markDirty(at, 1);
  }

  /** @internal A number of 64 bits; too large a one is that many bytes past any memory. */
  quad(at: number): number {
    const words = this.#words;
    const word = at >> 2;
    return (words[word] ?? 0) + (words[word + 1] ?? 0) * 2 ** 32;
  }

  /** @internal */
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

/** Where a descriptor begins, bytes. @internal */
export const descAt = (position: number): number => IoqOffset.ring + position * WORDS_PER_DESC * 4;

const isCount = (count: number, most: number): boolean => Number.isInteger(count) && count >= 1 && count <= most;
