/**
 * The line between a space's owner and a holder elsewhere: ordered messages, and word of the other side's end. A
 * MessagePort is one; a unix socket that carries fds can be another.
 *
 * @module
 */
import type { PortLike } from "../host/host.ts";

/** Takes what arrives over a link. */
export interface LinkReceiver {
  message(message: unknown): void;
  /** The other side is gone, or the line is cut. */
  closed(): void;
}

/** An ordered, two-way line for values that survive structured clone. */
export interface SpaceLink {
  /** Sends; never blocks. Once the link is closed it does nothing. */
  post(message: unknown): void;
  /** Begins to deliver; what arrived before is delivered first. */
  open(receiver: LinkReceiver): void;
  /** Delivers what has arrived by now, without the event loop, where the link can. @returns whether it can */
  drain(): boolean;
  close(): void;
}

/** Node's `receiveMessageOnPort`: how a thread that never returns to its event loop hears from a port. */
export type SynchronousReceive = (port: never) => { readonly message: unknown } | undefined;

/** A link over a MessagePort. */
export class PortLink implements SpaceLink {
  readonly #port: PortLike;
  readonly #receive: SynchronousReceive | undefined;
  #receiver: LinkReceiver | undefined;
  #open = true;

  constructor(port: PortLike, receive?: SynchronousReceive) {
    this.#port = port;
    this.#receive = receive;
  }

  post(message: unknown): void {
    if (this.#open) this.#port.postMessage(message);
  }

  open(receiver: LinkReceiver): void {
    this.#receiver = receiver;
    this.#port.addEventListener("message", (event) => this.#deliver(event.data));
    this.#port.addEventListener("close", () => this.#ended());
    this.#port.start();
  }

  drain(): boolean {
    if (this.#receive === undefined) return false;
    for (;;) {
      const received = this.#open ? this.#receive(this.#port as never) : undefined;
      if (received === undefined) return true;
      this.#deliver(received.message);
    }
  }

  close(): void {
    this.#receiver = undefined;
    this.#open = false;
    this.#port.close();
  }

  #deliver(message: unknown): void {
    this.#receiver?.message(message);
  }

  #ended(): void {
    this.#open = false;
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.closed();
  }
}
