/**
 * What this package asks of its JavaScript host: a later turn of the event loop, so that a queue that has spent its budget
 * lets others run, and a clock. This is the one file of the package that looks at the global object.
 *
 * @module
 */

/** Services of the host; a test brings its own. */
export interface VirtioHost {
  /** Calls back in a later turn of the event loop, after what is waiting already. */
  defer(task: () => void): void;
  /** Calls back once when some time has passed, unless the answer is disposed before. */
  after(milliseconds: number, task: () => void): Disposable;
  /** Milliseconds since some moment; never goes back. */
  now(): number;
}

interface Globals {
  setImmediate?(task: () => void): unknown;
  setTimeout(task: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  readonly performance: { now(): number };
}

/** The host this code runs in. */
export const defaultVirtioHost: VirtioHost = {
  defer(task) {
    const globals = globalThis as unknown as Globals;
    if (globals.setImmediate !== undefined) globals.setImmediate(task);
    else globals.setTimeout(task, 0);
  },
  after(milliseconds, task) {
    const globals = globalThis as unknown as Globals;
    const timer = globals.setTimeout(task, milliseconds);
    return { [Symbol.dispose]: () => globals.clearTimeout(timer) };
  },
  now: () => (globalThis as unknown as Globals).performance.now(),
};
