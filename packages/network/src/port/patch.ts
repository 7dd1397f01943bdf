/** A cable between two backends: what comes out of one goes into the other. @module */
import type { Frame } from "../frame/frame.ts";
import { NO_OFFLOAD_SUPPORT, type OffloadSupport } from "../offload/offload.ts";
import type { NetworkBackend, NetworkEndpoint, NetworkPort } from "./network-backend.ts";

/** Connects two backends, with back-pressure. Dispose it to unplug both ends. */
export class Patch implements Disposable {
  /** Its end in the first backend; its counters are those of the cable. */
  readonly port: NetworkPort;
  readonly #other: NetworkPort;

  /** Plugs into both. Throws what a backend throws that can't be plugged into; then neither is. */
  constructor(one: NetworkBackend, other: NetworkBackend) {
    const here = new CableEnd(`to ${other.name}`);
    const there = new CableEnd(`to ${one.name}`);
    this.#other = other.plug(there);
    here.way = this.#other;
    try {
      this.port = one.plug(here);
    } catch (error) {
      this.#other[Symbol.dispose]();
      throw error;
    }
    there.way = this.port;
    this.port.onRoom(() => this.#other.roomAgain());
    this.#other.onRoom(() => this.port.roomAgain());
  }

  /** Unplugs both ends. */
  [Symbol.dispose](): void {
    this.port[Symbol.dispose]();
    this.#other[Symbol.dispose]();
  }
}

class CableEnd implements NetworkEndpoint {
  readonly name: string;
  /** The port at the other end; before it is plugged in, what comes is lost. */
  way: NetworkPort | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get accepts(): OffloadSupport {
    return this.way?.accepts ?? NO_OFFLOAD_SUPPORT;
  }

  receive(frame: Frame): boolean {
    return this.way?.send(frame) ?? true;
  }

  flush(): void {
    this.way?.flush();
  }
}
