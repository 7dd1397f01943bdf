/** A notifier within one thread. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { Notifier } from "./notifier.ts";

/** A counter whose subscriber is called in a microtask after a signal. */
export class LocalNotifier implements Notifier {
  #count = 0;
  #scheduled = false;
  #callback: ((count: number) => void) | undefined;

  signal(count = 1): void {
    this.#count += count;
    this.#schedule();
  }

  take(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }

  subscribe(callback: (count: number) => void): Disposable {
    requireFree(this.#callback);
    this.#callback = callback;
    this.#schedule();
    return {
      [Symbol.dispose]: () => {
        if (this.#callback === callback) this.#callback = undefined;
      },
    };
  }

  share(): undefined {
    return undefined;
  }

  /** Drops the subscriber. */
  [Symbol.dispose](): void {
    this.#callback = undefined;
  }

  #schedule(): void {
    if (this.#scheduled || this.#callback === undefined || this.#count === 0) return;
    this.#scheduled = true;
    void Promise.resolve().then(() => {
      this.#scheduled = false;
      if (this.#callback === undefined || this.#count === 0) return;
      this.#callback(this.take());
    });
  }
}

/** Throws `busy` where a notifier has a subscriber already. */
export function requireFree(callback: unknown): void {
  if (callback === undefined) return;
  throw new VirtAddressSpaceError("busy", "this notifier has a subscriber: dispose that one first, or use a notifier of your own");
}
