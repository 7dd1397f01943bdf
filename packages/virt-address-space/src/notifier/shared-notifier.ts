/** A notifier between threads, on a SharedArrayBuffer and Atomics. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { requireSharedArrayBuffer } from "../memory/shared-memory.ts";
import type { Notifier, NotifierDescriptor, NotifierOpener } from "./notifier.ts";
import { callSubscriber, MOST_SIGNALS, requireCount, requireFree, type Subscription } from "./subscription.ts";

const COUNT = 0;
const BYTES = 4;
const KIND = "shared";

/**
 * A counter in shared memory. Any thread signals it; a worker may block in {@link wait}, a main thread uses `subscribe`.
 * A pending subscription alone does not keep a Node process alive.
 */
export class SharedNotifier implements Notifier {
  readonly #words: Int32Array;
  readonly #buffer: SharedArrayBuffer;
  #subscription: Subscription | undefined;
  #disposed = false;

  /**
   * @param buffer - the counter of a notifier that another thread made; a new one unless given
   * @throws {@link VirtAddressSpaceError} `unsupported` where the host has no SharedArrayBuffer
   */
  constructor(buffer?: SharedArrayBuffer) {
    requireSharedArrayBuffer("a notifier between threads");
    this.#buffer = buffer ?? new SharedArrayBuffer(BYTES);
    this.#words = new Int32Array(this.#buffer);
  }

  signal(count = 1): void {
    requireCount(count);
    // By compare and exchange, so that a flood of signals stops at the most and does not wrap.
    let before = Atomics.load(this.#words, COUNT);
    for (;;) {
      const found = Atomics.compareExchange(this.#words, COUNT, before, Math.min(before + count, MOST_SIGNALS));
      if (found === before) break;
      before = found;
    }
    Atomics.notify(this.#words, COUNT);
  }

  take(): number {
    return Atomics.exchange(this.#words, COUNT, 0);
  }

  /**
   * Blocks this thread until the count is not 0, and takes it. Not on a browser's main thread.
   *
   * @param milliseconds - at the most; for ever unless given
   * @returns the count; 0 where the time ran out, or a limited wait was disturbed by a subscriber that left
   */
  wait(milliseconds: number = Number.POSITIVE_INFINITY): number {
    let count = this.take();
    while (count === 0) {
      Atomics.wait(this.#words, COUNT, 0, milliseconds);
      count = this.take();
      if (milliseconds !== Number.POSITIVE_INFINITY) break;
    }
    return count;
  }

  /**
   * Resolves with the count once it is not 0, and takes it; 0 once the notifier is disposed in this thread.
   *
   * @param milliseconds - at the most; for ever unless given
   */
  async waitAsync(milliseconds: number = Number.POSITIVE_INFINITY): Promise<number> {
    let count = this.take();
    while (count === 0 && !this.#disposed) {
      await Atomics.waitAsync(this.#words, COUNT, 0, milliseconds).value;
      if (this.#disposed) return 0;
      count = this.take();
      if (milliseconds !== Number.POSITIVE_INFINITY) break;
    }
    return count;
  }

  subscribe(callback: (count: number) => void): Disposable {
    requireFree(this.#subscription);
    const subscription: Subscription = {
      callback,
      [Symbol.dispose]: () => {
        if (this.#subscription !== subscription) return;
        this.#subscription = undefined;
        this.#wakeWaiters();
      },
    };
    this.#subscription = subscription;
    void this.#serve(subscription);
    return subscription;
  }

  share(): NotifierDescriptor {
    return { kind: KIND, payload: this.#buffer };
  }

  /** Ends this thread's subscription and waits; other threads go on. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#subscription = undefined;
    this.#wakeWaiters();
  }

  async #serve(subscription: Subscription): Promise<void> {
    while (this.#subscription === subscription && !this.#disposed) {
      const { value } = Atomics.waitAsync(this.#words, COUNT, 0);
      await value;
      if (this.#subscription !== subscription || this.#disposed) return;
      const count = this.take();
      if (count !== 0) callSubscriber(subscription, count);
    }
  }

  /** Lets pending waits look again: those that have no limit and find nothing new wait on. */
  #wakeWaiters(): void {
    Atomics.notify(this.#words, COUNT);
  }
}

/** Opens the notifier that {@link SharedNotifier.share} described; every attach has it. */
export const sharedNotifierOpener: NotifierOpener = {
  kind: KIND,
  open(descriptor) {
    if (typeof SharedArrayBuffer === "function" && descriptor.payload instanceof SharedArrayBuffer) {
      if (descriptor.payload.byteLength >= BYTES) return new SharedNotifier(descriptor.payload);
    }
    throw new VirtAddressSpaceError("foreign-descriptor", "a shared notifier's descriptor holds no counter");
  },
};
