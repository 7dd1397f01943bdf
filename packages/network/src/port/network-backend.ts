/**
 * What a network device plugs into. A device is an endpoint that takes frames; what it plugs into is a backend, which gives it a
 * port to send through. Frames come one by one and are flushed as a batch; whoever has no room says so and is asked again
 * when he says that he has.
 *
 * @module
 */
import type { Frame } from "../frame/frame.ts";
import type { OffloadSupport } from "../offload/offload.ts";
import type { PortCounters } from "./port-counters.ts";

/** A device, as its backend sees it. Nothing that it is called with may throw. */
export interface NetworkEndpoint {
  /** For people. */
  readonly name: string;
  /** What frames it can take; asked at each frame, since a driver may change it. */
  readonly accepts: OffloadSupport;
  /**
   * Takes a frame, within the call.
   *
   * @returns whether it had room; after a false it calls `roomAgain` of its port when it has
   */
  receive(frame: Frame): boolean;
  /** No more frames for now: a good moment to interrupt somebody. */
  flush(): void;
}

/** A device's way out. Dispose it to unplug. */
export interface NetworkPort extends Disposable {
  /** What frames it can take. */
  readonly accepts: OffloadSupport;
  /** What went through. */
  readonly counters: PortCounters;
  /**
   * Sends a frame; it is copied, or dropped and counted, within the call.
   *
   * @returns false where there is no room: the frame is still the sender's, who waits for {@link onRoom}
   */
  send(frame: Frame): boolean;
  /** No more frames for now. */
  flush(): void;
  /** The endpoint has room again. */
  roomAgain(): void;
  /** Calls back when there is room after a `send` that returned false. */
  onRoom(callback: () => void): void;
}

/** What devices plug into. */
export interface NetworkBackend {
  /** For people. */
  readonly name: string;
  /** Plugs a device in. */
  plug(endpoint: NetworkEndpoint): NetworkPort;
}
