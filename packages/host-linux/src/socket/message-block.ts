/**
 * The structures of sendmsg and recvmsg: one message header, one vector, one control buffer, and room for data. Calls copy
 * through it, so that no array of JavaScript's is shown to the kernel.
 *
 * @see sendmsg(2), cmsg(3), unix(7)
 * @module
 */
import { constants } from "node:os";
import { HostLinuxError } from "../error/host-linux-error.ts";
import { Fd } from "../fd/fd.ts";
import { callError, nativeBlock, tryCall } from "../native/libc.ts";

/** Data of one call: more than the largest datagram that anybody sends here. */
export const MOST_BYTES: number = 128 * 1024;
/** File descriptors of one message; the kernel passes no more. */
export const MOST_FDS = 253;

const HEADER = 0;
const VECTOR = 64;
const CONTROL = 128;
const CONTROL_HEADER_BYTES = 16;
const CONTROL_BYTES = CONTROL_HEADER_BYTES + 4 * 256;
const ADDRESS = 2048;
const DATA = 4096;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const { EAGAIN, EPIPE, ECONNRESET, ECONNREFUSED, ENOTCONN, ENOBUFS, ENOENT, ENOTDIR, EPERM, EACCES, EPROTOTYPE } = constants.errno;
const GONE: ReadonlySet<number> = new Set([EPIPE, ECONNRESET, ECONNREFUSED, ENOTCONN]);
/** What is at a path is nobody who may be sent something. */
const NOBODY: ReadonlySet<number> = new Set([ENOENT, ENOTDIR, EPERM, EACCES, EPROTOTYPE]);

/** What was received. */
export interface Received {
  /** Bytes; 0 where the other side has closed. */
  readonly length: number;
  /** They are the receiver's, who closes them. */
  readonly fds: readonly Fd[];
}

let shared: MessageBlock | undefined;

/** The block of this thread: calls come one after the other, and none leaves anything in it. */
export function messageBlock(): MessageBlock {
  shared ??= new MessageBlock();
  return shared;
}

/** The native memory of the structures. */
export class MessageBlock {
  readonly #block = nativeBlock(DATA + MOST_BYTES);

  #prepare(length: number, control: number): void {
    const { view, address } = this.#block;
    view.setBigUint64(HEADER, 0n, true);
    view.setUint32(HEADER + 8, 0, true);
    view.setBigUint64(HEADER + 16, address + BigInt(VECTOR), true);
    view.setBigUint64(HEADER + 24, 1n, true);
    view.setBigUint64(HEADER + 32, control === 0 ? 0n : address + BigInt(CONTROL), true);
    view.setBigUint64(HEADER + 40, BigInt(control), true);
    view.setUint32(HEADER + 48, 0, true);
    view.setBigUint64(VECTOR, address + BigInt(DATA), true);
    view.setBigUint64(VECTOR + 8, BigInt(length), true);
  }

  /** Room for data to be sent, at the most {@link MOST_BYTES}. */
  get data(): Uint8Array {
    return this.#block.bytes.subarray(DATA);
  }

  /**
   * Sends what is in {@link data}.
   *
   * @param to - the address of a datagram, where its socket is not connected
   * @returns bytes sent; undefined where the socket has no room; "gone" where nobody is there to have it
   */
  send(socket: Fd, length: number, fds: readonly number[], to?: Uint8Array): number | undefined | "gone" {
    if (fds.length > MOST_FDS)
      throw new HostLinuxError("invalid-argument", `${fds.length} descriptors: a message carries ${MOST_FDS} at the most`);
    const control = fds.length === 0 ? 0 : CONTROL_HEADER_BYTES + 4 * fds.length;
    this.#prepare(length, fds.length === 0 ? 0 : CONTROL_HEADER_BYTES + 8 * Math.ceil(fds.length / 2));
    const { view, address, bytes } = this.#block;
    if (to !== undefined) {
      bytes.set(to, ADDRESS);
      view.setBigUint64(HEADER, address + BigInt(ADDRESS), true);
      view.setUint32(HEADER + 8, to.length, true);
    }
    if (control > 0) {
      view.setBigUint64(CONTROL, BigInt(control), true);
      view.setInt32(CONTROL + 8, SOL_SOCKET, true);
      view.setInt32(CONTROL + 12, SCM_RIGHTS, true);
      for (const [i, fd] of fds.entries()) view.setInt32(CONTROL + CONTROL_HEADER_BYTES + 4 * i, fd, true);
    }
    const { result, errno } = tryCall("sendmsg", socket.number, address, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (errno === 0) return result;
    if (errno === EAGAIN || errno === ENOBUFS) return undefined;
    if (GONE.has(errno) || (to !== undefined && NOBODY.has(errno))) return "gone";
    throw callError("sendmsg", errno);
  }

  /**
   * Receives up to a number of bytes.
   *
   * @returns undefined where nothing has come
   * @throws {@link HostLinuxError} `fds-lost` where not all descriptors had room (those that came are closed); `system-call`
   */
  receive(socket: Fd, target: Uint8Array, offset: number, length: number): Received | undefined {
    const most = Math.max(Math.min(length, target.length - offset, MOST_BYTES), 0);
    this.#prepare(most, CONTROL_BYTES);
    const { view, address, bytes } = this.#block;
    const { result, errno } = tryCall("recvmsg", socket.number, address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (errno === EAGAIN) return undefined;
    // Who was reset is as gone as who closed.
    if (errno === ECONNRESET || errno === ENOTCONN) return { length: 0, fds: [] };
    if (errno !== 0) throw callError("recvmsg", errno);
    const fds = this.#takeFds(Number(view.getBigUint64(HEADER + 40, true)));
    if ((view.getUint32(HEADER + 48, true) & MSG_CTRUNC) !== 0) {
      for (const fd of fds) fd[Symbol.dispose]();
      throw new HostLinuxError("fds-lost", "file descriptors were lost on the way: more came than this process may have");
    }
    target.set(bytes.subarray(DATA, DATA + result), offset);
    return { length: result, fds };
  }

  #takeFds(length: number): Fd[] {
    const { view } = this.#block;
    const fds: Fd[] = [];
    for (let at = 0; at + CONTROL_HEADER_BYTES <= length; ) {
      const size = Number(view.getBigUint64(CONTROL + at, true));
      if (size < CONTROL_HEADER_BYTES) break;
      const rights = view.getInt32(CONTROL + at + 8, true) === SOL_SOCKET && view.getInt32(CONTROL + at + 12, true) === SCM_RIGHTS;
      for (let i = CONTROL_HEADER_BYTES; rights && i + 4 <= Math.min(size, length - at); i += 4) {
        fds.push(new Fd(view.getInt32(CONTROL + at + i, true)));
      }
      at += Math.ceil(size / 8) * 8;
    }
    return fds;
  }
}
