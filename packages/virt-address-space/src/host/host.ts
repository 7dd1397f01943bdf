/**
 * The few services of the JavaScript host that a space needs once it is shared between threads: a timer for grace
 * periods and a message channel. Every host has both under the same names (Node, browsers, workers), so the default
 * finds them on the global object; `VirtAddressSpace.create({ host })` replaces them, for a test's clock say.
 * This file and that of stacks are the ones that look at the global object.
 *
 * @module
 */

import { type Lifelines, lifelinesOf } from "./lifeline.ts";

/** One end of a message channel: what a space needs of the web's `MessagePort`, which Node's is too. */
export interface PortLike {
  /** Sends a value to the other end, in order. */
  postMessage(message: unknown, transfer?: unknown[]): void;
  /** Calls back for what arrives, and when the other end is closed. */
  addEventListener(type: "message" | "close" | "messageerror", listener: (event: { data?: unknown }) => void): void;
  /** Begins to deliver. */
  start(): void;
  /** Closes both ends. */
  close(): void;
  /** Node only: whether the open port keeps the process alive. */
  unref?(): void;
}

/** A message channel. */
export interface ChannelLike {
  /** One end. */
  readonly port1: PortLike;
  /** The other end. */
  readonly port2: PortLike;
}

/** What a space asks of its host. */
export interface SpaceHost {
  /** Calls back once after a number of milliseconds; returns what cancels it. */
  setTimer(milliseconds: number, callback: () => void): () => void;
  /** Makes an identity that no other thread makes. */
  createId(): string;
  /** Makes the two ends of a message channel. */
  createChannel(): ChannelLike;
  /** How the end of another thread is noticed, where ports don't tell. */
  readonly lifelines?: Lifelines | undefined;
}

interface Globals {
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  readonly crypto?: { randomUUID?(): string };
  MessageChannel: new () => ChannelLike;
}

/** The host this code runs in. */
export const defaultHost: SpaceHost = {
  setTimer(milliseconds, callback) {
    const globals = globalThis as unknown as Globals;
    const timer = globals.setTimeout(callback, milliseconds);
    return () => globals.clearTimeout(timer);
  },
  createId() {
    const { crypto } = globalThis as unknown as Globals;
    // A page that is not secure has no UUIDs; it has no shared memory either, so its spaces never meet another thread's.
    return crypto?.randomUUID?.() ?? `${Math.random().toString(16).slice(2)}${Math.random().toString(16).slice(2)}`;
  },
  createChannel() {
    return new (globalThis as unknown as Globals).MessageChannel();
  },
  lifelines: lifelinesOf(globalThis),
};
