/**
 * A signal in shared memory: each side says whether it wants to be woken, whether it is being woken, and whether there is news. While the
 * other side looks anyway, nothing is sent.
 *
 * @module
 */
import { defaultVbusHost, type VbusHost } from "../host/host.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import {
  type Locale,
  oppositeOf,
  SHM_SIGNAL_MAGIC,
  SHM_SIGNAL_SIZE,
  SHM_SIGNAL_VERSION,
  ShmSignalOffset,
  SideOffset,
} from "./shm-signal-layout.ts";

/** How often a listener is called in one turn. */
const BUDGET = 64;

/** How a signal is made. */
export interface ShmSignalOptions {
  /** Where its bytes are; the signal takes a reference. */
  readonly shm: VbusShm;
  /** Bytes from the start of the memory. */
  readonly offset?: number;
  /** Whose side this is. */
  readonly locale: Locale;
  /** Wakes the other side. */
  readonly inject: () => void;
  /** Replaces the services of the host. */
  readonly host?: VbusHost;
}

/** One side's end of a signal. It begins disabled. */
export class ShmSignal implements Disposable {
  /** Whose side this is. */
  readonly locale: Locale;
  /** How often the other side was woken. */
  injected = 0;
  readonly #shm: VbusShm;
  readonly #mine: number;
  readonly #peer: number;
  readonly #inject: () => void;
  readonly #host: VbusHost;
  #listener: (() => void) | undefined;
  #waking = false;
  #closed = false;

  constructor({ shm, offset = 0, locale, inject, host = defaultVbusHost }: ShmSignalOptions) {
    this.#shm = shm.get();
    this.locale = locale;
    this.#mine = offset + ShmSignalOffset[locale];
    this.#peer = offset + ShmSignalOffset[oppositeOf(locale)];
    this.#inject = inject;
    this.#host = host;
  }

  /** Writes a fresh signal, as the memory's owner does before it tells of it. */
  static format({ window }: VbusShm, offset = 0): void {
    window.u8.fill(0, offset, offset + SHM_SIGNAL_SIZE);
    const { data } = window;
    data.setUint32(offset + ShmSignalOffset.magic, SHM_SIGNAL_MAGIC, true);
    data.setUint32(offset + ShmSignalOffset.version, SHM_SIGNAL_VERSION, true);
    window.markDirty(offset, SHM_SIGNAL_SIZE);
  }

  /** Whether there is a signal, wholly within the memory. */
  static isAt({ window, length }: VbusShm, offset: number): boolean {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + SHM_SIGNAL_SIZE > length || !window.valid) return false;
    const { data } = window;
    return (
      data.getUint32(offset + ShmSignalOffset.magic, true) === SHM_SIGNAL_MAGIC &&
      data.getUint32(offset + ShmSignalOffset.version, true) === SHM_SIGNAL_VERSION
    );
  }

  /** Sets who is called when the other side has news; undefined for nobody. */
  set listener(listener: (() => void) | undefined) {
    this.#listener = listener;
  }

  /** Whether this side wants to be woken. */
  get enabled(): boolean {
    return this.#load(this.#mine + SideOffset.enabled);
  }

  /** Tells the other side that there is news, and wakes it, if it wants that and nobody is about to. */
  inject(): void {
    if (this.#closed) return;
    this.#store(this.#peer + SideOffset.dirty, 1);
    if (!this.#load(this.#peer + SideOffset.enabled)) return;
    if (this.#exchange(this.#peer + SideOffset.pending, 1)) return;
    this.injected++;
    this.#inject();
  }

  /** The other side was about to be woken when its machine was saved: wakes it, for that may not have come to pass. */
  remind(): void {
    if (!this.#closed && this.#load(this.#peer + SideOffset.enabled) && this.#load(this.#peer + SideOffset.pending)) this.#inject();
  }

  /** Wants to be woken: where there is news already, at once. */
  enable(): void {
    if (this.#closed) return;
    this.#store(this.#mine + SideOffset.enabled, 1);
    if (this.#hasNews()) this.wake();
  }

  /** Doesn't want to be woken: this side looks by itself. */
  disable(): void {
    if (!this.#closed) this.#store(this.#mine + SideOffset.enabled, 0);
  }

  /** The other side called: the listener hears of it in a later turn. */
  wake(): void {
    if (this.#waking || this.#closed) return;
    this.#waking = true;
    this.#host.defer(() => this.#wakeUp());
  }

  /** Gives the memory back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#shm.put();
  }

  /** Until nothing is new; whoever has the other side writing for ever gets a later turn for more. */
  #wakeUp(): void {
    for (let turn = 0; this.#isWanted(); turn++) {
      if (turn === BUDGET) {
        this.#host.defer(() => this.#wakeUp());
        return;
      }
      this.#store(this.#mine + SideOffset.dirty, 0);
      this.#listener?.();
      if (!this.#isWanted() || this.#load(this.#mine + SideOffset.dirty)) continue;
      this.#store(this.#mine + SideOffset.pending, 0);
    }
    this.#waking = false;
    // What came between the last look and this line: nobody else would wake for it.
    if (this.#isWanted()) this.wake();
  }

  #isWanted(): boolean {
    return !this.#closed && this.enabled && this.#hasNews();
  }

  #hasNews(): boolean {
    return this.#load(this.#mine + SideOffset.dirty) || this.#load(this.#mine + SideOffset.pending);
  }

  // A window that was revoked has no bytes: it reads as nothing.

  #load(at: number): boolean {
    const { u8 } = this.#shm.window;
    return u8.length !== 0 && Atomics.load(u8, at) !== 0;
  }

  #store(at: number, value: 0 | 1): void {
    // What is there already needs no write: a look costs less.
    if (this.#load(at) !== (value !== 0)) this.#exchange(at, value);
  }

  #exchange(at: number, value: 0 | 1): boolean {
    const { window } = this.#shm;
    if (window.u8.length === 0) return false;
    const before = Atomics.exchange(window.u8, at, value);
    window.markDirty(at, 1);
    return before !== 0;
  }
}
