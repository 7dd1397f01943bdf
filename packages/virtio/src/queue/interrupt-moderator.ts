/**
 * Fewer interrupts: holds one back until there are buffers enough to tell of, or its time is over.
 *
 * @see virtio 1.3, section 5.1.6.5.9 (notifications coalescing)
 * @module
 */
import type { VirtioHost } from "../host/host.ts";

/** Decides when a queue interrupts. */
export class InterruptModerator {
  readonly #host: VirtioHost;
  readonly #interrupt: () => void;
  #buffers = 0;
  #milliseconds = 0;
  /** Buffers since the last interrupt, whether the driver wants one, and the timer that sends it. */
  #waiting = 0;
  #wanted = false;
  #timer: Disposable | undefined;

  constructor(host: VirtioHost, interrupt: () => void) {
    this.#host = host;
    this.#interrupt = interrupt;
  }

  /** Sets how long to wait. */
  set(buffers: number, milliseconds: number): void {
    this.#buffers = buffers;
    this.#milliseconds = milliseconds;
    if (this.#wanted) this.#send();
  }

  /** Buffers were shown, and the driver wants to hear of them. */
  wanted(buffers: number): void {
    this.#waiting += buffers;
    this.#wanted = true;
    if (this.#milliseconds === 0 || this.#waiting >= this.#buffers) this.#send();
    else this.#timer ??= this.#host.after(this.#milliseconds, () => this.#send());
  }

  /** Buffers were shown, and the driver does not care. */
  passed(buffers: number): void {
    this.#waiting += buffers;
    if (this.#wanted && this.#waiting >= this.#buffers) this.#send();
  }

  /** Sends what waits, and forgets its timer. */
  end(): void {
    if (this.#wanted) this.#send();
  }

  #send(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#waiting = 0;
    this.#wanted = false;
    this.#interrupt();
  }
}
