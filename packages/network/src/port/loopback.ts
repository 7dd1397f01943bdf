/** A backend that gives each device back what it sent. @module */
import type { Frame } from "../frame/frame.ts";
import { deliver } from "../offload/delivery.ts";
import type { OffloadSupport } from "../offload/offload.ts";
import { Segmenter } from "../offload/segmenter.ts";
import type { NetworkBackend, NetworkEndpoint, NetworkPort } from "./network-backend.ts";
import { PortCounters } from "./port-counters.ts";

/** Sends each frame back to its sender, with back-pressure and without loss. */
export class Loopback implements NetworkBackend {
  readonly name = "loopback";

  plug(endpoint: NetworkEndpoint): NetworkPort {
    return new LoopbackPort(endpoint);
  }
}

class LoopbackPort implements NetworkPort {
  readonly counters = new PortCounters();
  readonly #endpoint: NetworkEndpoint;
  readonly #segmenter = new Segmenter();
  #onRoom: () => void = () => {};
  #waiting = false;
  #plugged = true;

  constructor(endpoint: NetworkEndpoint) {
    this.#endpoint = endpoint;
  }

  get accepts(): OffloadSupport {
    return this.#endpoint.accepts;
  }

  send(frame: Frame): boolean {
    const { counters } = this;
    if (!this.#plugged) {
      counters.dropped("unplugged");
      return true;
    }
    const delivery = deliver(this.#endpoint, frame, this.#segmenter);
    if (delivery === "no-room") {
      this.#waiting = true;
      return false;
    }
    if (delivery !== "taken") {
      counters.dropped(delivery === "offload" ? "offload" : "no-room");
      return true;
    }
    counters.sent(frame.length);
    counters.received(frame.length);
    return true;
  }

  flush(): void {
    if (this.#plugged) this.#endpoint.flush();
  }

  roomAgain(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#onRoom();
  }

  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  [Symbol.dispose](): void {
    this.#plugged = false;
  }
}
