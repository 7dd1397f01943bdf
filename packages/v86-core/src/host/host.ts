/** What this package asks of its JavaScript host. This is the one file of it that looks at the global object for services. @module */

/** Services of the host; a test brings its own. */
export interface V86Host {
  /** Calls back in a later turn of the event loop, soon. */
  defer(task: () => void): void;
  /** Milliseconds since some moment, with fractions; never goes back. */
  now(): number;
  /** 32 random bits, for a guest that asks its processor. */
  random(): number;
}

interface Globals {
  setImmediate?(task: () => void): unknown;
  MessageChannel: new () => { readonly port1: { onmessage: (() => void) | null }; readonly port2: { postMessage(value: undefined): void } };
  readonly performance: { now(): number };
  readonly crypto: { getRandomValues(array: Int32Array): Int32Array };
}

const globals = globalThis as unknown as Globals;

/** The host this code runs in. */
export function defaultV86Host(): V86Host {
  const word = new Int32Array(1);
  return {
    defer: globals.setImmediate === undefined ? deferByMessage() : (task) => void globals.setImmediate?.(task),
    now: () => globals.performance.now(),
    random: () => globals.crypto.getRandomValues(word)[0] as number,
  };
}

/** A browser's timers wait 4 milliseconds each; its messages don't. */
function deferByMessage(): (task: () => void) => void {
  const { port1, port2 } = new globals.MessageChannel();
  const tasks: (() => void)[] = [];
  port1.onmessage = () => tasks.shift()?.();
  return (task) => {
    tasks.push(task);
    port2.postMessage(undefined);
  };
}
