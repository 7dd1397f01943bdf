/** Later turns of the event loop, for tests: they come when they are asked for. @module */
import type { VbusHost } from "./host.ts";

export class Turns implements VbusHost {
  #tasks: (() => void)[] = [];

  defer(task: () => void): void {
    this.#tasks.push(task);
  }

  get waiting(): number {
    return this.#tasks.length;
  }

  /** One turn: what is waiting now. */
  turn(): void {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
  }

  /** Turns until nobody waits. @throws if that doesn't end */
  settle(): void {
    for (let i = 0; i < 10_000; i++) {
      if (this.#tasks.length === 0) return;
      this.turn();
    }
    throw new Error("this does not come to rest");
  }

  /** As {@link settle}, and lets promises come between. */
  async settleAll(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      if (this.waiting > 0) quiet = 0;
      this.settle();
      await Promise.resolve();
    }
  }
}
