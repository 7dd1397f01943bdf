/**
 * QEMU's socket networks as backends: `-netdev stream` (and passt), where each frame comes behind its length, and
 * `-netdev dgram`, where each is a datagram.
 *
 * @see QEMU's documentation, "Network options"
 * @module
 */
import {
  type DropReason,
  type Frame,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD,
  NO_OFFLOAD_SUPPORT,
} from "@virtspace/network";
import { HostLinuxError } from "../error/host-linux-error.ts";
import type { Fd } from "../fd/fd.ts";
import { tryCall } from "../native/libc.ts";
import { EventLoopPoller } from "../poll/event-loop-poller.ts";
import { socketAddress } from "../socket/socket-path.ts";
import { SocketType, UnixDatagramSocket, UnixSocket } from "../socket/unix-socket.ts";
import { gather, MOST_FRAMED_BYTES } from "./frame-buffer.ts";
import { type FrameChannel, HostPort, type ReadFrame } from "./host-port.ts";
import type { HostBackendOptions } from "./tap-backend.ts";

const LENGTH_BYTES = 4;
const POLLOUT = 4;

/** Plugs one device into a stream: connects to who listens, or takes a connection that is there. */
export class StreamBackend implements NetworkBackend {
  readonly name: string;
  #peer: string | UnixSocket | undefined;
  readonly #options: HostBackendOptions;

  /**
   * @param peer - a path to connect to when a device plugs in, or a connection, which is the first device's once it is plugged in
   */
  constructor(peer: string | UnixSocket, options: HostBackendOptions = {}) {
    this.name = typeof peer === "string" ? `stream ${peer}` : "stream";
    this.#peer = peer;
    this.#options = options;
  }

  /** Throws `HostLinuxError` `system-call` where nobody listens; `closed` where a connection is another device's already. */
  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { poller = new EventLoopPoller(), onGone = () => {} } = this.#options;
    const peer = this.#peer;
    if (peer === undefined) throw new HostLinuxError("closed", "this connection has its device: make another backend, or give a path");
    if (typeof peer !== "string") this.#peer = undefined;
    const socket = typeof peer === "string" ? connect(peer) : peer;
    return new HostPort(endpoint, new StreamChannel(socket), poller, onGone);
  }
}

/** Says what a newcomer has to do where the socket's own error says only that there is nobody. */
function connect(path: string): UnixSocket {
  try {
    return UnixSocket.connect(path);
  } catch (error) {
    if (!HostLinuxError.is(error) || (error.errno !== "ENOENT" && error.errno !== "ECONNREFUSED")) throw error;
    const text = `nobody listens at ${path} (${error.errno}): start the other side first`;
    throw new HostLinuxError("system-call", text, { call: "connect", errno: error.errno, path });
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

  /** Of the frame that comes next; undefined where that is not known. */
  get #length(): number | undefined {
    return this.#to - this.#from < LENGTH_BYTES ? undefined : this.#inView.getUint32(this.#from);
  }

  get ahead(): boolean {
    const length = this.#length;
    return length !== undefined && this.#to - this.#from >= LENGTH_BYTES + length;
  }

  read(): ReadFrame | undefined | "ended" {
    for (;;) {
      const length = this.#length;
      // Nobody sends such a frame: the stream can't be followed any further.
      if (length !== undefined && (length === 0 || length > MOST_FRAMED_BYTES)) return "ended";
      if (length !== undefined && this.ahead) {
        const at = this.#from + LENGTH_BYTES;
        this.#from = at + length;
        return { bytes: this.#in.subarray(at, at + length), offload: NO_OFFLOAD };
      }
      const more = this.#fill();
      if (more !== true) return more;
    }
  }

  /** @returns true where more came */
  #fill(): true | undefined | "ended" {
    if (this.#from > 0) {
      this.#in.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    const received = receivedFrom(this.fd, this.#in, this.#to);
    if (received === undefined) return undefined;
    if (received === "failed" || received === 0) return "ended";
    this.#to += received;
    return true;
  }

  get pending(): boolean {
    return this.#rest !== undefined;
  }

  flush(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    const sent = sentTo(() => this.fd.send(rest));
    if (sent === "gone" || sent === rest.length) this.#rest = undefined;
    else if (sent !== undefined) this.#rest = rest.subarray(sent);
  }

  write(frame: Frame): "sent" | "wait" | "ended" | DropReason {
    this.flush();
    if (this.#rest !== undefined) return "wait";
    const bytes = gather(frame, LENGTH_BYTES, this.#out);
    if (bytes === undefined) return "gone";
    this.#outView.setUint32(0, frame.length);
    const sent = sentTo(() => this.fd.send(bytes));
    if (sent === undefined) return "wait";
    if (sent === "gone") return "ended";
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

  /** Throws `HostLinuxError` `socket-in-use` where the local path is taken; `invalid-argument`, `system-call`. */
  plug(endpoint: NetworkEndpoint): NetworkPort {
    const { poller = new EventLoopPoller(), onGone = () => {} } = this.#options;
    const { local, remote } = this.#paths;
    // Told now, not at the first frame.
    socketAddress(remote);
    return new HostPort(endpoint, new DatagramChannel(UnixDatagramSocket.at(local), remote), poller, onGone);
  }
}

/**
 * The socket is connected to nobody: one that is hears nobody else, and would be deaf to a peer that was started again.
 */
class DatagramChannel implements FrameChannel {
  readonly fd: UnixDatagramSocket;
  readonly accepts = NO_OFFLOAD_SUPPORT;
  readonly #remote: string;
  /** One byte more than a frame has: a datagram that fills it was cut off, and is too long whatever it was. */
  readonly #in = new Uint8Array(MOST_FRAMED_BYTES + 1);
  readonly #out = new Uint8Array(MOST_FRAMED_BYTES);
  readonly #room: Uint8Array<ArrayBuffer> = new Uint8Array(8);

  constructor(socket: UnixDatagramSocket, remote: string) {
    this.#remote = remote;
    this.fd = socket;
  }

  read(): ReadFrame | undefined {
    const received = receivedFrom(this.fd, this.#in, 0);
    if (received === undefined) return undefined;
    // What can't be read counts as a frame that is too short.
    return { bytes: this.#in.subarray(0, received === "failed" ? 0 : received), offload: NO_OFFLOAD };
  }

  write(frame: Frame): "sent" | "wait" | DropReason {
    const bytes = gather(frame, 0, this.#out);
    if (bytes === undefined) return "gone";
    const sent = sentTo(() => this.fd.sendTo(this.#remote, bytes));
    if (sent === undefined) return "wait";
    // The other side may be started later: then it is there.
    return sent === "gone" ? "unplugged" : "sent";
  }

  /** Where this socket has room, it is the other's queue that has none, of which a socket tells that is connected to it. */
  blocker(): Fd | undefined {
    const room = this.#room;
    const view = new DataView(room.buffer);
    view.setInt32(0, this.fd.number, true);
    view.setInt32(4, POLLOUT, true);
    if (tryCall("poll", room, 1, 0).result !== 1) return undefined;
    try {
      return UnixSocket.connect(this.#remote, SocketType.Datagram);
    } catch {
      return undefined;
    }
  }
}

/** Receives without throwing, and closes what came beside the bytes. */
function receivedFrom(socket: UnixSocket, target: Uint8Array, offset: number): number | undefined | "failed" {
  try {
    const received = socket.receive(target, offset);
    for (const fd of received?.fds ?? []) fd[Symbol.dispose]();
    return received?.length;
  } catch {
    return "failed";
  }
}

/** Sends without throwing: what the host can't send at all goes nowhere. */
function sentTo(send: () => number | undefined | "gone"): number | undefined | "gone" {
  try {
    return send();
  } catch {
    return "gone";
  }
}
