/** Unix sockets that carry file descriptors. @see unix(7) @module */
import { constants } from "node:os";
import { Fd } from "../fd/fd.ts";
import { call, callError, tryCall } from "../native/libc.ts";
import { MOST_BYTES, messageBlock, type Received } from "./message-block.ts";
import { SocketPath, socketAddress } from "./socket-path.ts";

const AF_UNIX = 1;
const FLAGS = 0o2004000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_PEERCRED = 17;
const SHUT_RDWR = 2;
const { EAGAIN } = constants.errno;

/** What a socket carries: a stream of bytes, or datagrams. */
export const SocketType = {
  /** Bytes in order. */
  Stream: 1,
  /** Messages with borders. */
  Datagram: 2,
} as const;

/** A kind of socket. */
export type SocketType = (typeof SocketType)[keyof typeof SocketType];

/** Who is at the other end. */
export interface Credentials {
  /** Its process. */
  readonly pid: number;
  /** Its user. */
  readonly uid: number;
  /** Its group. */
  readonly gid: number;
}

/** A connected, or bound, socket; it never blocks. */
export class UnixSocket extends Fd {
  /**
   * Connects to a listener.
   *
   * @throws {@link HostLinuxError} `system-call` with the path; `invalid-argument` for a path that is too long
   */
  static connect(path: string, type: SocketType = SocketType.Stream): UnixSocket {
    const address = socketAddress(path);
    const socket = new UnixSocket(call("socket", AF_UNIX, type | FLAGS, 0));
    const { errno } = tryCall("connect", socket.number, address, address.length);
    if (errno === 0) return socket;
    socket[Symbol.dispose]();
    throw callError("connect", errno, path);
  }

  /** Makes two that are connected to each other. */
  static pair(type: SocketType = SocketType.Stream): [UnixSocket, UnixSocket] {
    const fds = new Uint8Array(8);
    call("socketpair", AF_UNIX, type | FLAGS, 0, fds);
    const view = new DataView(fds.buffer);
    return [new UnixSocket(view.getInt32(0, true)), new UnixSocket(view.getInt32(4, true))];
  }

  /**
   * Sends bytes, at the most 128 KiB in one call, with file descriptors beside the first of them.
   *
   * @returns bytes sent, which may be fewer in a stream; undefined where there is no room; "gone" where nobody is there any more
   */
  send(bytes: Uint8Array, fds: readonly number[] = []): number | undefined | "gone" {
    const block = messageBlock();
    const length = Math.min(bytes.length, MOST_BYTES);
    block.data.set(length === bytes.length ? bytes : bytes.subarray(0, length));
    return block.send(this, length, fds);
  }

  /**
   * Receives up to a number of bytes, with the descriptors beside them.
   *
   * @returns undefined where nothing has come; a length of 0 where the other side has closed
   * @throws {@link HostLinuxError} `fds-lost`, `system-call`
   */
  receive(target: Uint8Array, offset = 0, length: number = target.length - offset): Received | undefined {
    return messageBlock().receive(this, target, offset, length);
  }

  /** Who made the connection. */
  credentials(): Credentials {
    const value = new Uint8Array(12);
    const length = Uint8Array.of(12, 0, 0, 0);
    call("getsockopt", this.number, SOL_SOCKET, SO_PEERCRED, value, length);
    const view = new DataView(value.buffer);
    return { pid: view.getInt32(0, true), uid: view.getUint32(4, true), gid: view.getUint32(8, true) };
  }

  /** Asks for room for so many bytes on their way. */
  setSendBuffer(bytes: number): void {
    const value = new Uint8Array(4);
    new DataView(value.buffer).setInt32(0, bytes, true);
    call("setsockopt", this.number, SOL_SOCKET, SO_SNDBUF, value, 4);
  }

  /** Ends the connection for both, with the descriptor still open. */
  shutdown(): void {
    if (!this.closed) tryCall("shutdown", this.number, SHUT_RDWR);
  }
}

/** A datagram socket at a path, which goes with it. */
export class UnixDatagramSocket extends UnixSocket {
  /** Where it receives. */
  readonly path: string;
  readonly #bound: SocketPath;

  private constructor(number: number, bound: SocketPath) {
    super(number);
    this.path = bound.path;
    this.#bound = bound;
  }

  /**
   * Makes one. A path that a dead process left behind is taken over; one that is in use, by a socket or otherwise, is left alone.
   *
   * @param mode - who may send to it, as file permissions; 0600 unless given
   * @throws {@link HostLinuxError} `socket-in-use`, `system-call`, `invalid-argument`
   */
  static at(path: string, mode = 0o600): UnixDatagramSocket {
    const { socket, bound } = SocketPath.bind(path, SocketType.Datagram, mode);
    return new UnixDatagramSocket(socket.release(), bound);
  }

  /**
   * Sends a datagram to who receives at a path.
   *
   * @returns bytes sent; undefined where there is no room; "gone" where nobody is there, or nobody who may be sent to
   * @throws {@link HostLinuxError} `invalid-argument` for a path that is none; `system-call`
   */
  sendTo(path: string, bytes: Uint8Array): number | undefined | "gone" {
    const block = messageBlock();
    const length = Math.min(bytes.length, MOST_BYTES);
    block.data.set(length === bytes.length ? bytes : bytes.subarray(0, length));
    return block.send(this, length, [], socketAddress(path));
  }

  /** Closes it and removes its path, where that is still its own. Idempotent. */
  override [Symbol.dispose](): void {
    if (this.closed) return;
    this.#bound.remove();
    super[Symbol.dispose]();
  }
}

/** How a listener is made. */
export interface ListenOptions {
  /** Who may connect, as file permissions; 0600 unless given. */
  readonly mode?: number;
  /** Connections that wait; 16 unless given. */
  readonly backlog?: number;
}

/** Waits for connections at a path, which goes with it. */
export class UnixListener extends Fd {
  /** Where it listens. */
  readonly path: string;
  readonly #bound: SocketPath;

  private constructor(number: number, bound: SocketPath) {
    super(number);
    this.path = bound.path;
    this.#bound = bound;
  }

  /**
   * Listens at a path. A socket that nobody listens at any more is replaced; one that somebody does is left alone, and so is
   * whatever else is there.
   *
   * @throws {@link HostLinuxError} `socket-in-use`, `system-call`, `invalid-argument`
   */
  static listen(path: string, { mode = 0o600, backlog = 16 }: ListenOptions = {}): UnixListener {
    const { socket, bound } = SocketPath.bind(path, SocketType.Stream, mode);
    try {
      call("listen", socket.number, backlog);
    } catch (error) {
      bound.remove();
      socket[Symbol.dispose]();
      throw error;
    }
    return new UnixListener(socket.release(), bound);
  }

  /** Takes a connection; undefined where none waits. */
  accept(): UnixSocket | undefined {
    const { result, errno } = tryCall("accept4", this.number, null, null, FLAGS);
    if (errno === EAGAIN) return undefined;
    if (errno !== 0) throw callError("accept4", errno, this.path);
    return new UnixSocket(result);
  }

  /** Closes it and removes its path, where that is still its own. Idempotent. */
  override [Symbol.dispose](): void {
    if (this.closed) return;
    this.#bound.remove();
    super[Symbol.dispose]();
  }
}
