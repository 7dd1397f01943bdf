/** Unix sockets that carry file descriptors. @see unix(7) @module */
import { lstatSync, rmSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { HostLinuxError } from "../error/host-linux-error.ts";
import { Fd } from "../fd/fd.ts";
import { call, callError, tryCall } from "../native/libc.ts";
import { MOST_BYTES, messageBlock, type Received } from "./message-block.ts";

const AF_UNIX = 1;
const FLAGS = 0o2004000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_PEERCRED = 17;
const SHUT_RDWR = 2;
const PATH_BYTES = 108;
const { EAGAIN, ECONNREFUSED, ENOENT, EADDRINUSE } = constants.errno;

/** What a socket carries: a stream of bytes, or datagrams. */
export const SocketType = { Stream: 1, Datagram: 2 } as const;

/** A kind of socket. */
export type SocketType = (typeof SocketType)[keyof typeof SocketType];

/** Who is at the other end. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
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
  readonly #path: string;

  private constructor(number: number, path: string) {
    super(number);
    this.#path = path;
  }

  /** Makes one; its path must be free. @throws {@link HostLinuxError} `system-call` with the path, `invalid-argument` */
  static at(path: string): UnixDatagramSocket {
    const address = socketAddress(path);
    const socket = new UnixDatagramSocket(call("socket", AF_UNIX, SocketType.Datagram | FLAGS, 0), path);
    const { errno } = tryCall("bind", socket.number, address, address.length);
    if (errno === 0) return socket;
    socket.#close();
    throw callError("bind", errno, path);
  }

  /** Says where datagrams go. @returns whether somebody is there */
  connectTo(path: string): boolean {
    const address = socketAddress(path);
    return tryCall("connect", this.number, address, address.length).errno === 0;
  }

  #close(): void {
    super[Symbol.dispose]();
  }

  /** Closes it and removes its path. Idempotent. */
  override [Symbol.dispose](): void {
    if (this.closed) return;
    this.#close();
    rmSync(this.#path, { force: true });
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
  readonly #inode: bigint;

  private constructor(number: number, path: string) {
    super(number);
    this.path = path;
    this.#inode = inodeAt(path) ?? 0n;
  }

  /**
   * Listens at a path. A socket that nobody listens at any more is replaced; one that somebody does is left alone, and so is
   * whatever else is there.
   *
   * @throws {@link HostLinuxError} `socket-in-use`, `system-call`, `invalid-argument`
   */
  static listen(path: string, { mode = 0o600, backlog = 16 }: ListenOptions = {}): UnixListener {
    const address = socketAddress(path);
    removeStale(path, address);
    const socket = new Fd(call("socket", AF_UNIX, SocketType.Stream | FLAGS, 0));
    // The permissions are there from the first moment, not a moment later.
    const before = call("umask", 0o777 & ~mode);
    const { errno } = tryCall("bind", socket.number, address, address.length);
    call("umask", before);
    if (errno !== 0) {
      socket[Symbol.dispose]();
      if (errno === EADDRINUSE)
        throw new HostLinuxError("socket-in-use", `${path} is taken: by what is no socket, or somebody was faster`, { path });
      throw callError("bind", errno, path);
    }
    call("listen", socket.number, backlog);
    return new UnixListener(socket.release(), path);
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
    super[Symbol.dispose]();
    if (inodeAt(this.path) === this.#inode) unlinkSync(this.path);
  }
}

function inodeAt(path: string): bigint | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

function removeStale(path: string, address: Uint8Array): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() !== true) return;
  using probe = new Fd(call("socket", AF_UNIX, SocketType.Stream | FLAGS, 0));
  const { errno } = tryCall("connect", probe.number, address, address.length);
  if (errno === ECONNREFUSED) unlinkSync(path);
  else if (errno !== ENOENT) {
    throw new HostLinuxError("socket-in-use", `somebody listens at ${path}: end that program, or choose another path`, { path });
  }
}

function socketAddress(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length === 0 || bytes.length >= PATH_BYTES || bytes.includes(0)) {
    throw new HostLinuxError("invalid-argument", `"${path}" can't be a socket's path: 1 to ${PATH_BYTES - 1} bytes, and no NUL`, { path });
  }
  const address = new Uint8Array(2 + bytes.length + 1);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  return address;
}
