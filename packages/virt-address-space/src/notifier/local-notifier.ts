/** A notifier within one thread. @module */
import type { Notifier } from "./notifier.ts";
import { callSubscriber, MOST_SIGNALS, requireCount, requireFree, type Subscription } from "./subscription.ts";

/** A counter whose subscriber is called in a microtask after a signal. */
export class LocalNotifier implements Notifier {
  #count = 0;
  #scheduled = false;
  #subscription: Subscription | undefined;

  signal(count = 1): void {
    requireCount(count);
    this.#count = Math.min(this.#count + count, MOST_SIGNALS);
    this.#schedule();
  }

  take(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }

  subscribe(callback: (count: number) => void): Disposable {
    requireFree(this.#subscription);
    const subscription: Subscription = {
      callback,
      [Symbol.dispose]: () => {
        if (this.#subscription === subscription) this.#subscription = undefined;
      },
    };
    this.#subscription = subscription;
    this.#schedule();
    return subscription;
  }

  share(): undefined {
    return undefined;
  }

  /** Drops the subscriber. */
  [Symbol.dispose](): void {
    this.#subscription = undefined;
  }

  #schedule(): void {
    if (this.#scheduled || this.#subscription === undefined || this.#count === 0) return;
    this.#scheduled = true;
    void Promise.resolve().then(() => {
      this.#scheduled = false;
      if (this.#subscription !== undefined && this.#count !== 0) callSubscriber(this.#subscription, this.take());
    });
  }
}
