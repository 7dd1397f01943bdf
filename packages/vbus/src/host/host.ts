/** What this package asks of its JavaScript host. This is the one file of it that looks at the global object. @module */

/** Services of the host; a test brings its own. */
export interface VbusHost {
  /** Calls back in a later turn of the event loop, after what is waiting already. */
  defer(task: () => void): void;
}

interface Globals {
  setImmediate?(task: () => void): unknown;
  setTimeout(task: () => void, milliseconds: number): unknown;
}

/** The host this code runs in. */
export const defaultVbusHost: VbusHost = {
  defer(task) {
    const globals = globalThis as unknown as Globals;
    if (globals.setImmediate !== undefined) globals.setImmediate(task);
    else globals.setTimeout(task, 0);
  },
};
