/**
 * The line between a space's owner and a holder elsewhere: ordered messages, and word of the other side's end. A
 * MessagePort is one; a unix socket that carries fds can be another.
 *
 * @module
 */
import type { PortLike } from "../host/host.ts";
import type { Lifelines } from "../host/lifeline.ts";

/** Takes what arrives over a link. */
export interface LinkReceiver {
  /** A message has arrived. */
  message(message: unknown): void;
  /** The other side is gone, or the line is cut. */
  closed(): void;
}

/** An ordered, two-way line for values that survive structured clone. */
export interface SpaceLink {
  /** Sends; never blocks. Once the link is closed it does nothing. */
  post(message: unknown): void;
  /**
   * Begins to deliver; what arrived before is delivered first.
   *
   * @returns once the other side is sure to hear of this thread's end; nothing, where it always is
   */
  open(receiver: LinkReceiver): Promise<void> | undefined;
  /** Delivers what has arrived by now, without the event loop, where the link can. @returns whether it can */
  drain(): boolean;
  /** Ends the line; idempotent. */
  close(): void;
}

/** A message that was received without the event loop. */
export interface ReceivedMessage {
  /** The value that was sent. */
  readonly message: unknown;
}

/** Node's `receiveMessageOnPort`: how a thread that never returns to its event loop hears from a port. */
export type SynchronousReceive = (port: never) => ReceivedMessage | undefined;

/** How a {@link PortLink} is made. */
export interface PortLinkOptions {
  /** How messages are had without the event loop; Node alone has it. */
  readonly receive?: SynchronousReceive | undefined;
  /** How the end of the other thread is noticed, where the port does not tell. */
  readonly lifelines?: Lifelines | undefined;
}

/** What the two ends of a port say to each other below the space's own messages: the name of a line that ends with them. */
interface LifelineMessage {
  readonly lifeline: string;
}

/** A link over a MessagePort. */
export class PortLink implements SpaceLink {
  readonly #port: PortLike;
  readonly #options: PortLinkOptions;
  #receiver: LinkReceiver | undefined;
  #open = true;
  #letGo: (() => void) | undefined;
  #unwatch: (() => void) | undefined;

  constructor(port: PortLike, options: PortLinkOptions = {}) {
    this.#port = port;
    this.#options = options;
  }

  post(message: unknown): void {
    if (this.#open) this.#port.postMessage(message);
  }

  open(receiver: LinkReceiver): Promise<void> | undefined {
    this.#receiver = receiver;
    this.#port.addEventListener("message", (event) => this.#deliver(event.data));
    this.#port.addEventListener("close", () => this.#ended());
    // A message that can't be read is lost, and what follows makes no sense without it.
    this.#port.addEventListener("messageerror", () => this.#ended());
    this.#port.start();
    const line = this.#options.lifelines?.hold();
    this.#letGo = line?.letGo;
    return line?.held.then((lifeline) => {
      if (lifeline !== undefined) this.post({ lifeline } satisfies LifelineMessage);
    });
  }

  drain(): boolean {
    const { receive } = this.#options;
    if (receive === undefined) return false;
    for (;;) {
      const received = this.#open ? receive(this.#port as never) : undefined;
      if (received === undefined) return true;
      this.#deliver(received.message);
    }
  }

  /** Ends the line; idempotent. */
  close(): void {
    this.#receiver = undefined;
    this.#cut();
    this.#port.close();
  }

  #deliver(message: unknown): void {
    const { lifeline } = (message ?? {}) as Partial<LifelineMessage>;
    if (typeof lifeline !== "string") this.#receiver?.message(message);
    else this.#unwatch ??= this.#options.lifelines?.watch(lifeline, () => this.#ended());
  }

  #ended(): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    this.#cut();
    receiver?.closed();
  }

  #cut(): void {
    this.#open = false;
    this.#letGo?.();
    this.#unwatch?.();
  }
}
