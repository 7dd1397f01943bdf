/** A path where others plug themselves into a network: QEMU's `-netdev stream` in its client's part. @module */
import { type NetworkBackend, Patch } from "@virtspace/network";
import { EventLoopPoller } from "../poll/event-loop-poller.ts";
import type { Poller, Watch } from "../poll/poller.ts";
import { UnixListener, type UnixSocket } from "../socket/unix-socket.ts";
import { StreamBackend } from "./socket-backend.ts";

/** How it listens. */
export interface StreamListenerOptions {
  /** The path's permissions; 0600 unless given. */
  readonly mode?: number;
  /** The most that are plugged in at a time; 256 unless given. Whoever is one too many is hung up on. */
  readonly most?: number;
  /** Who waits; the event loop unless given. */
  readonly poller?: Poller;
  /** Told of somebody who came, by a number. */
  readonly onJoin?: (peer: number) => void;
  /** Told that he went away. */
  readonly onGone?: (peer: number) => void;
  /** Told that nobody could be taken for now: there were no descriptors left, say. */
  readonly onFault?: (cause: unknown) => void;
}

/** How long nobody is taken after that failed. */
const PAUSE_MILLISECONDS = 100;

/** Listens; each connection is a port of the network. Dispose it to unplug all and give the path back. */
export class StreamListener implements Disposable {
  readonly #network: NetworkBackend;
  readonly #options: StreamListenerOptions;
  readonly #poller: Poller;
  readonly #listener: UnixListener;
  readonly #watch: Watch;
  readonly #cables = new Map<number, Patch>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #count = 0;

  /** @throws `HostLinuxError` `socket-in-use`, `system-call`, `invalid-argument` */
  constructor(network: NetworkBackend, path: string, options: StreamListenerOptions = {}) {
    const { mode = 0o600, poller = new EventLoopPoller() } = options;
    this.#network = network;
    this.#options = options;
    this.#poller = poller;
    this.#listener = UnixListener.listen(path, { mode });
    try {
      this.#watch = poller.watch(this.#listener, { readable: true }, () => this.#accept());
    } catch (error) {
      this.#listener[Symbol.dispose]();
      throw error;
    }
  }

  /** Where it listens. */
  get path(): string {
    return this.#listener.path;
  }

  /** How many are plugged in. */
  get peers(): number {
    return this.#cables.size;
  }

  #accept(): void {
    try {
      for (let socket = this.#listener.accept(); socket !== undefined; socket = this.#listener.accept()) this.#plug(socket);
    } catch (cause) {
      this.#options.onFault?.(cause);
      // As long as there are no descriptors left those who wait would call again and again.
      this.#watch.change({});
      this.#retry = setTimeout(() => this.#watch.change({ readable: true }), PAUSE_MILLISECONDS);
    }
  }

  #plug(socket: UnixSocket): void {
    const { most = 256, onJoin, onGone } = this.#options;
    if (this.#cables.size >= most) {
      socket[Symbol.dispose]();
      return;
    }
    const peer = ++this.#count;
    const gone = (): void => {
      const cable = this.#cables.get(peer);
      if (!this.#cables.delete(peer)) return;
      cable?.[Symbol.dispose]();
      onGone?.(peer);
    };
    try {
      this.#cables.set(peer, new Patch(this.#network, new StreamBackend(socket, { poller: this.#poller, onGone: gone })));
    } catch (cause) {
      socket[Symbol.dispose]();
      throw cause;
    }
    onJoin?.(peer);
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    if (this.#listener.closed) return;
    clearTimeout(this.#retry);
    this.#watch[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
    for (const cable of this.#cables.values()) cable[Symbol.dispose]();
    this.#cables.clear();
  }
}
