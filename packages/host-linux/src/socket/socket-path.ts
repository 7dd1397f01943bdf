/**
 * Where a socket is found in the file system: takes over what a dead process left, is its user's from the first moment, and
 * goes with its socket.
 *
 * @see unix(7)
 * @module
 */
import { chmodSync, fchmodSync, lstatSync, rmSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { dirname, resolve } from "node:path";
import { HostLinuxError } from "../error/host-linux-error.ts";
import { Fd } from "../fd/fd.ts";
import { call, callError, tryCall } from "../native/libc.ts";

const AF_UNIX = 1;
const FLAGS = 0o2004000;
const PATH_BYTES = 108;
const PERMISSIONS = 0o777;
const { ECONNREFUSED, ENOENT, EADDRINUSE } = constants.errno;

/** A path as the kernel takes it. @throws {@link HostLinuxError} `invalid-argument` */
export function socketAddress(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length === 0 || bytes.length >= PATH_BYTES || bytes.includes(0)) {
    throw new HostLinuxError("invalid-argument", `"${path}" can't be a socket's path: 1 to ${PATH_BYTES - 1} bytes, and no NUL`, { path });
  }
  const address = new Uint8Array(2 + bytes.length + 1);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  return address;
}

/** The path of a socket that is bound to it. */
export class SocketPath {
  /** As it was given. */
  readonly path: string;
  /** The same, wherever this process goes. */
  readonly #place: string;
  readonly #identity: string | undefined;

  private constructor(path: string) {
    this.path = path;
    this.#place = resolve(path);
    this.#identity = identityAt(this.#place);
  }

  /**
   * Makes a socket that is bound to a path.
   *
   * @throws {@link HostLinuxError} `socket-in-use`, `system-call`, `invalid-argument`; nothing is left then
   */
  static bind(path: string, type: number, mode: number): { readonly socket: Fd; readonly bound: SocketPath } {
    const address = socketAddress(path);
    removeStale(path, type, address);
    const socket = new Fd(call("socket", AF_UNIX, type | FLAGS, 0));
    try {
      // The path gets the permissions of its socket: it never has others, and no other thread's files get them, as by umask.
      fchmodSync(socket.number, mode);
      const { errno } = tryCall("bind", socket.number, address, address.length);
      if (errno === EADDRINUSE) {
        throw new HostLinuxError("socket-in-use", `${path} is taken: by what is no socket, or somebody was faster`, { path });
      }
      if (errno === ENOENT) {
        const message = `there is no folder ${dirname(path)} for the socket (ENOENT): make it first`;
        throw new HostLinuxError("system-call", message, { call: "bind", errno: "ENOENT", path });
      }
      if (errno !== 0) throw callError("bind", errno, path);
      const bound = new SocketPath(path);
      try {
        // The process's mask took some away.
        if ((lstatSync(path).mode & PERMISSIONS) !== mode) chmodSync(path, mode);
      } catch (error) {
        bound.remove();
        throw error;
      }
      return { socket, bound };
    } catch (error) {
      socket[Symbol.dispose]();
      throw error;
    }
  }

  /** Removes it, where it is still this socket's: to be called before that is closed, as long as nobody else can have its inode. */
  remove(): void {
    try {
      if (this.#identity !== undefined && identityAt(this.#place) === this.#identity) rmSync(this.#place, { force: true });
    } catch {
      // Its folder can't be reached any more, or not be written: there is nothing that could be done.
    }
  }
}

function identityAt(path: string): string | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

function removeStale(path: string, type: number, address: Uint8Array): void {
  if (!isSocketAt(path)) return;
  using probe = new Fd(call("socket", AF_UNIX, type | FLAGS, 0));
  const { errno } = tryCall("connect", probe.number, address, address.length);
  if (errno === ECONNREFUSED) unlinkSync(path);
  else if (errno !== ENOENT) {
    throw new HostLinuxError("socket-in-use", `somebody listens at ${path}: end that program, or choose another path`, { path });
  }
}

function isSocketAt(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
  } catch {
    // In a folder that may not be looked into: bind says so.
    return false;
  }
}
