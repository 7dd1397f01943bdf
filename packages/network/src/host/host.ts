/** What this package asks of its JavaScript host. This is the one file of it that looks at the global object. @module */

/** Services of the host; a test brings its own. */
export interface NetworkHost {
  /** Milliseconds since some moment. */
  now(): number;
  /** Calls back once when some time has passed, unless the answer is disposed before. */
  after(milliseconds: number, task: () => void): Disposable;
}

interface Globals {
  setTimeout(task: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** The host this code runs in. */
export const defaultNetworkHost: NetworkHost = {
  now: () => Date.now(),
  after(milliseconds, task) {
    const globals = globalThis as unknown as Globals;
    const timer = globals.setTimeout(task, milliseconds);
    return { [Symbol.dispose]: () => globals.clearTimeout(timer) };
  },
};
