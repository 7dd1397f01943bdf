/**
 * QEMU's socket networks as backends: `-netdev stream` (and passt), where each frame comes behind its length, and
 * `-netdev dgram`, where each is a datagram.
 *
 * @see QEMU's documentation, "Network options"
 * @module
 */
import {
  type Frame,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD,
  NO_OFFLOAD_SUPPORT,
} from "@virtspace/network";
import { EventLoopPoller } from "../poll/poller.ts";
import { UnixDatagramSocket, UnixSocket } from "../socket/unix-socket.ts";
import { gather, MOST_FRAMED_BYTES } from "./frame-buffer.ts";
import { type FrameChannel, HostPort, type ReadFrame } from "./host-port.ts";
import type { HostBackendOptions } from "./tap-backend.ts";

const LENGTH_BYTES = 4;

/** Plugs one device into a stream: connects to who listens, or takes a connection that is there. */
export class StreamBackend implements NetworkBackend {
  readonly name: string;
  readonly #peer: string | UnixSocket;
  readonly #options: HostBackendOptions;

  /** @param peer - a path to connect to when a device plugs in, or a connection, which is the backend's then */
  constructor(peer: string | UnixSocket, options: HostBackendOptions = {}) {
    this.name = typeof peer === "string" ? `stream ${peer}` : "stream";
    this.#peer = peer;
    this.#options = options;
  }

  /** Throws `HostLinuxError` `system-call` where nobody listens. */
  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { poller = new EventLoopPoller(), onGone = () => {} } = this.#options;
    const socket = typeof this.#peer === "string" ? UnixSocket.connect(this.#peer) : this.#peer;
    return new HostPort(endpoint, new StreamChannel(socket), poller, onGone);
  }
}

class StreamChannel implements FrameChannel {
  readonly fd: UnixSocket;
  readonly accepts = NO_OFFLOAD_SUPPORT;
  /** What was read and not yet taken: from `#from` to `#to`. */
  readonly #in = new Uint8Array(4 * MOST_FRAMED_BYTES);
  readonly #inView = new DataView(this.#in.buffer);
  #from = 0;
  #to = 0;
  readonly #out = new Uint8Array(MOST_FRAMED_BYTES);
  readonly #outView = new DataView(this.#out.buffer);
  /** The rest of a frame whose beginning went out. */
  #rest: Uint8Array | undefined;

  constructor(socket: UnixSocket) {
    this.fd = socket;
  }

  read(): ReadFrame | undefined | "gone" {
    for (;;) {
      const have = this.#to - this.#from;
      const length = have < LENGTH_BYTES ? undefined : this.#inView.getUint32(this.#from);
      // Nobody sends such a frame: the stream can't be followed any further.
      if (length !== undefined && (length === 0 || length > MOST_FRAMED_BYTES)) return "gone";
      if (length !== undefined && have >= LENGTH_BYTES + length) {
        const at = this.#from + LENGTH_BYTES;
        this.#from = at + length;
        return { bytes: this.#in.subarray(at, at + length), offload: NO_OFFLOAD };
      }
      const more = this.#fill();
      if (more !== true) return more;
    }
  }

  /** @returns true where more came */
  #fill(): true | undefined | "gone" {
    if (this.#from > 0) {
      this.#in.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    const received = this.fd.receive(this.#in, this.#to);
    if (received === undefined) return undefined;
    for (const fd of received.fds) fd[Symbol.dispose]();
    if (received.length === 0) return "gone";
    this.#to += received.length;
    return true;
  }

  get pending(): boolean {
    return this.#rest !== undefined;
  }

  flush(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    const sent = this.fd.send(rest);
    if (sent === "gone" || sent === rest.length) this.#rest = undefined;
    else if (sent !== undefined) this.#rest = rest.subarray(sent);
  }

  write(frame: Frame): "sent" | "wait" | "dropped" | "gone" {
    this.flush();
    if (this.#rest !== undefined) return "wait";
    const bytes = gather(frame, LENGTH_BYTES, this.#out);
    if (bytes === undefined) return "dropped";
    this.#outView.setUint32(0, frame.length);
    const sent = this.fd.send(bytes);
    if (sent === undefined) return "wait";
    if (sent === "gone") return "gone";
    if (sent < bytes.length) this.#rest = bytes.slice(sent);
    return "sent";
  }
}

/** Where the datagrams of a backend go. */
export interface DatagramPaths {
  /** Where this side receives; it must be free. */
  readonly local: string;
  /** Where the other side receives; it may come later. */
  readonly remote: string;
}

/** Plugs one device into a pair of datagram sockets. */
export class DatagramBackend implements NetworkBackend {
  readonly name: string;
  readonly #paths: DatagramPaths;
  readonly #options: HostBackendOptions;

  constructor(paths: DatagramPaths, options: HostBackendOptions = {}) {
    this.name = `dgram ${paths.remote}`;
    this.#paths = paths;
    this.#options = options;
  }

  /** Throws `HostLinuxError` `system-call` where the local path is taken. */
  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { poller = new EventLoopPoller(), onGone = () => {} } = this.#options;
    const { local, remote } = this.#paths;
    return new HostPort(endpoint, new DatagramChannel(UnixDatagramSocket.at(local), remote), poller, onGone);
  }
}

class DatagramChannel implements FrameChannel {
  readonly fd: UnixDatagramSocket;
  readonly accepts = NO_OFFLOAD_SUPPORT;
  readonly #remote: string;
  readonly #in = new Uint8Array(MOST_FRAMED_BYTES);
  readonly #out = new Uint8Array(MOST_FRAMED_BYTES);
  #connected = false;

  constructor(socket: UnixDatagramSocket, remote: string) {
    this.#remote = remote;
    this.fd = socket;
  }

  read(): ReadFrame | undefined {
    const received = this.fd.receive(this.#in);
    if (received === undefined) return undefined;
    for (const fd of received.fds) fd[Symbol.dispose]();
    return received.length === 0 ? undefined : { bytes: this.#in.subarray(0, received.length), offload: NO_OFFLOAD };
  }

  write(frame: Frame): "sent" | "wait" | "dropped" {
    const bytes = gather(frame, 0, this.#out);
    if (bytes === undefined) return "dropped";
    this.#connected ||= this.fd.connectTo(this.#remote);
    const sent = this.#connected ? this.fd.send(bytes) : "gone";
    if (sent === undefined) return "wait";
    if (sent !== "gone") return "sent";
    // The other side may be started again: the next frame looks for it.
    this.#connected = false;
    return "dropped";
  }
}
