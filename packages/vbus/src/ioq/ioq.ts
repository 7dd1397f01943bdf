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
import { IoqIterator, type IoqIteratorOptions, type IoqMemory } from "./ioq-iterator.ts";
import { IndexOffset, IOQ_HEAD_SIZE, IOQ_MAGIC, IOQ_VERSION, type IoqIndex, IoqOffset, ioqSize } from "./ioq-layout.ts";

/** More than any ring has. */
const MOST_DESCRIPTORS = 1 << 16;

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
  readonly #memory: IoqMemory;
  #closed = false;

  private constructor({ shm, locale, signal }: IoqOptions, count: number) {
    this.#shm = shm.get();
    this.locale = locale;
    this.signal = signal;
    this.count = count;
    this.#memory = { window: shm.window, locale, signal, count };
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
    return new IoqIterator(this.#memory, index, options);
  }

  /** How many descriptors an index has between its head and its tail; `EINVAL` where it was written over. */
  used(index: IoqIndex): number | ErrnoName {
    const { u32, u8 } = this.#memory.window;
    const at = IoqOffset[index];
    const head = u32[(at + IndexOffset.head) >> 2] ?? this.count;
    const tail = u32[(at + IndexOffset.tail) >> 2] ?? this.count;
    if (head >= this.count || tail >= this.count) return "EINVAL";
    if (head === tail) return u8[at + IndexOffset.full] === 0 ? 0 : this.count;
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
}

const isCount = (count: number, most: number): boolean => Number.isInteger(count) && count >= 1 && count <= most;
