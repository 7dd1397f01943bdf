/** Accesses that were sent to another thread and wait for their answer. @module */
import type { SpaceHost } from "../host/host.ts";
import type { IoReply, IoRequest } from "./protocol.ts";

/** Somebody at the other end of a link. */
export interface IoPeer {
  post(message: IoRequest | IoReply): void;
}

interface Waiting {
  readonly peer: IoPeer;
  answer(value: bigint | undefined): void;
}

/** Sends accesses and matches the answers; one that does not come in time counts as nobody's access. */
export class IoForwarder {
  readonly #host: SpaceHost;
  readonly #timeout: number;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;

  constructor(host: SpaceHost, timeout: number) {
    this.#host = host;
    this.#timeout = timeout;
  }

  send(peer: IoPeer, address: number, size: 1 | 2 | 4 | 8, value: bigint | undefined): Promise<bigint | undefined> {
    const request = this.#next++;
    return new Promise((resolve) => {
      const cancel = this.#host.setTimer(this.#timeout, () => this.#answer(request, undefined));
      this.#waiting.set(request, {
        peer,
        answer: (reply) => {
          cancel();
          resolve(reply);
        },
      });
      peer.post({ type: "io", request, address, size, value });
    });
  }

  /** Takes an answer; one from somebody who was not asked is passed over. */
  reply(peer: IoPeer, { request, value }: IoReply): void {
    if (this.#waiting.get(request)?.peer !== peer) return;
    this.#answer(request, typeof value === "bigint" ? BigInt.asUintN(64, value) : undefined);
  }

  /** Nobody answers any more. */
  gone(peer: IoPeer): void {
    for (const [request, waiting] of [...this.#waiting]) if (waiting.peer === peer) this.#answer(request, undefined);
  }

  #answer(request: number, value: bigint | undefined): void {
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    waiting?.answer(value);
  }
}
