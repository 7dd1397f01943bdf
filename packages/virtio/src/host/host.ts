/**
 * What this package asks of its JavaScript host: a later turn of the event loop, so that a queue that has spent its budget
 * lets others run, a clock, and chance. This is the one file of the package that looks at the global object.
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
  readonly crypto: { getRandomValues(bytes: Uint8Array<ArrayBuffer>): unknown };
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

/** The most that the host's generator fills at once. */
const RANDOM_BYTES = 65_536;

/** Fills bytes with numbers that nobody can foretell: the host's. Memory that threads share is filled through a copy, as the host won't. */
export function defaultRandom(bytes: Uint8Array): void {
  const { crypto } = globalThis as unknown as Globals;
  const fresh = new Uint8Array(Math.min(bytes.length, RANDOM_BYTES));
  for (let done = 0; done < bytes.length; done += fresh.length) {
    crypto.getRandomValues(fresh);
    bytes.set(fresh.subarray(0, bytes.length - done), done);
  }
}
