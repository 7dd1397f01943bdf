/** A notifier between threads, on a SharedArrayBuffer and Atomics. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { requireSharedArrayBuffer } from "../memory/shared-memory.ts";
import { requireFree } from "./local-notifier.ts";
import type { Notifier, NotifierDescriptor, NotifierOpener } from "./notifier.ts";

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
  #callback: ((count: number) => void) | undefined;
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
    Atomics.add(this.#words, COUNT, count);
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
    const count = this.take();
    if (count !== 0 || this.#disposed) return count;
    await Atomics.waitAsync(this.#words, COUNT, 0, milliseconds).value;
    return this.#disposed ? 0 : this.take();
  }

  subscribe(callback: (count: number) => void): Disposable {
    requireFree(this.#callback);
    this.#callback = callback;
    void this.#serve(callback);
    return {
      [Symbol.dispose]: () => {
        if (this.#callback === callback) this.#callback = undefined;
        this.#wakeWaiters();
      },
    };
  }

  share(): NotifierDescriptor {
    return { kind: KIND, payload: this.#buffer };
  }

  /** Ends this thread's subscription and waits; other threads go on. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#callback = undefined;
    this.#wakeWaiters();
  }

  async #serve(callback: (count: number) => void): Promise<void> {
    while (this.#callback === callback && !this.#disposed) {
      const { value } = Atomics.waitAsync(this.#words, COUNT, 0);
      await value;
      if (this.#callback !== callback || this.#disposed) return;
      const count = this.take();
      if (count !== 0) callback(count);
    }
  }

  /** Lets pending waits look again: those of other threads find nothing new and wait on. */
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
