/**
 * ECMAScript's stacks of what is to be given back, the last first. The host's own where it has them: Node 22 has not.
 *
 * @see ECMAScript's proposal "Explicit Resource Management"
 * @module
 */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";

type Step = () => unknown;

/** Adds what a second failure hides to the first, as the language does. */
function suppressing(error: unknown, suppressed: unknown): Error {
  return Object.assign(new Error("an error was suppressed while things were given back"), { name: "SuppressedError", error, suppressed });
}

function requireMethod(method: unknown, what: string): void {
  if (typeof method !== "function") throw new TypeError(`${what} is no function: give what can be given back`);
}

/** What both stacks have. */
class Steps {
  #steps: Step[] = [];
  #disposed = false;

  get disposed(): boolean {
    return this.#disposed;
  }

  push(step: Step): void {
    requireMethod(step, "a step");
    if (this.#disposed) throw new VirtAddressSpaceError("released", "this stack has given all back: make another for what comes later");
    this.#steps.push(step);
  }

  /** Takes all steps, the last first. */
  take(): Step[] {
    this.#disposed = true;
    return this.#steps.splice(0).reverse();
  }
}

/** For hosts without one. @internal */
export class StandInStack implements DisposableStack {
  readonly #steps = new Steps();

  get [Symbol.toStringTag](): string {
    return "DisposableStack";
  }

  get disposed(): boolean {
    return this.#steps.disposed;
  }

  use<T extends Disposable | null | undefined>(value: T): T {
    if (value === null || value === undefined) return value;
    const method = value[Symbol.dispose];
    requireMethod(method, "what [Symbol.dispose] names");
    this.#steps.push(() => method.call(value));
    return value;
  }

  adopt<T>(value: T, onDispose: (value: T) => void): T {
    this.#steps.push(() => onDispose(value));
    return value;
  }

  defer(onDispose: () => void): void {
    this.#steps.push(onDispose);
  }

  move(): DisposableStack {
    const moved = new StandInStack();
    for (const step of this.#steps.take().reverse()) moved.defer(step);
    return moved;
  }

  dispose(): void {
    let failure: { readonly error: unknown } | undefined;
    for (const step of this.#steps.take()) {
      try {
        step();
      } catch (error) {
        failure = { error: failure === undefined ? error : suppressing(error, failure.error) };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** For hosts without one. @internal */
export class AsyncStandInStack implements AsyncDisposableStack {
  readonly #steps = new Steps();

  get [Symbol.toStringTag](): string {
    return "AsyncDisposableStack";
  }

  get disposed(): boolean {
    return this.#steps.disposed;
  }

  use<T extends AsyncDisposable | Disposable | null | undefined>(value: T): T {
    if (value === null || value === undefined) return value;
    const { [Symbol.asyncDispose]: later, [Symbol.dispose]: atOnce } = value as Partial<AsyncDisposable & Disposable>;
    const method = later ?? atOnce;
    requireMethod(method, "what [Symbol.asyncDispose] names");
    this.#steps.push(() => method?.call(value));
    return value;
  }

  adopt<T>(value: T, onDisposeAsync: (value: T) => PromiseLike<void> | void): T {
    this.#steps.push(() => onDisposeAsync(value));
    return value;
  }

  defer(onDisposeAsync: () => PromiseLike<void> | void): void {
    this.#steps.push(onDisposeAsync);
  }

  move(): AsyncDisposableStack {
    const moved = new AsyncStandInStack();
    for (const step of this.#steps.take().reverse()) moved.defer(step as () => PromiseLike<void> | void);
    return moved;
  }

  async disposeAsync(): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const step of this.#steps.take()) {
      try {
        await step();
      } catch (error) {
        failure = { error: failure === undefined ? error : suppressing(error, failure.error) };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disposeAsync();
  }
}

const host = globalThis as Partial<Pick<typeof globalThis, "DisposableStack" | "AsyncDisposableStack">>;

/** The language's, for hosts that lack it too. */
export const DisposableStack: DisposableStackConstructor = host.DisposableStack ?? StandInStack;

/** The language's, for hosts that lack it too. */
export const AsyncDisposableStack: AsyncDisposableStackConstructor = host.AsyncDisposableStack ?? AsyncStandInStack;
