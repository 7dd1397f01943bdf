/**
 * The few services of the JavaScript host that a space needs once it is shared between threads: a timer for grace
 * periods and a message channel. Every host has both under the same names (Node, browsers, workers), so the default
 * finds them on the global object; `VirtAddressSpace.create({ host })` replaces them, for a test's clock say.
 * This is the one file that looks at the global object.
 *
 * @module
 */

/** One end of a message channel: what a space needs of the web's `MessagePort`, which Node's is too. */
export interface PortLike {
  postMessage(message: unknown, transfer?: unknown[]): void;
  addEventListener(type: "message" | "close" | "messageerror", listener: (event: { data?: unknown }) => void): void;
  start(): void;
  close(): void;
  /** Node only: whether the open port keeps the process alive. */
  unref?(): void;
}

/** What a space asks of its host. */
export interface SpaceHost {
  /** Calls back once after a number of milliseconds; returns what cancels it. */
  setTimer(milliseconds: number, callback: () => void): () => void;
  /** Makes the two ends of a message channel. */
  createChannel(): { readonly port1: PortLike; readonly port2: PortLike };
}

interface Globals {
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  MessageChannel: new () => { readonly port1: PortLike; readonly port2: PortLike };
}

/** The host this code runs in. */
export const defaultHost: SpaceHost = {
  setTimer(milliseconds, callback) {
    const globals = globalThis as unknown as Globals;
    const timer = globals.setTimeout(callback, milliseconds);
    return () => globals.clearTimeout(timer);
  },
  createChannel() {
    return new (globalThis as unknown as Globals).MessageChannel();
  },
};
