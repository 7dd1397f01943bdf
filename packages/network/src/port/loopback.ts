/** A backend that gives each device back what it sent. @module */
import type { Frame } from "../frame/frame.ts";
import { canTake, type OffloadSupport } from "../frame/offload.ts";
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
    if (!canTake(this.#endpoint.accepts, frame.offload)) {
      counters.dropped("offload");
      return true;
    }
    if (!this.#endpoint.receive(frame)) {
      this.#waiting = true;
      return false;
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
