/**
 * The line between a space's owner and a holder in another process: messages over a unix socket, each behind its length, the
 * file descriptors of memory and notifiers beside it.
 *
 * @module
 */
import type { LinkReceiver, SpaceLink } from "@virtspace/virt-address-space";
import { Fd } from "../fd/fd.ts";
import type { Poller, Watch } from "../poll/poller.ts";
import { MOST_FDS } from "../socket/message-block.ts";
import type { UnixSocket } from "../socket/unix-socket.ts";
import { decodeMessage, type EncodedMessage, encodeMessage } from "./message-codec.ts";

const HEADER_BYTES = 4;
/** A message is no longer: thousands of regions fit. */
const MOST_MESSAGE_BYTES = 16 * 1024 * 1024;
/** What waits for a peer that does not read. */
const MOST_WAITING_BYTES = 64 * 1024 * 1024;

/** A link over a socket, which is its own from now on. */
export class SocketLink implements SpaceLink {
  readonly #socket: UnixSocket;
  readonly #poller: Poller;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #receiver: LinkReceiver | undefined;
  #watch: Watch | undefined;
  /** The message that is being read: its bytes once its header is there. */
  #body: Uint8Array | undefined;
  #have = 0;
  #fds: Fd[] = [];
  /** What was not sent yet. Its descriptors are copies: the memory that they came from may go before they do. */
  readonly #waiting: { readonly bytes: Uint8Array; readonly fds: readonly Fd[] }[] = [];
  #waitingBytes = 0;
  #ended = false;

  constructor(socket: UnixSocket, poller: Poller) {
    this.#socket = socket;
    this.#poller = poller;
  }

  post(message: unknown): void {
    if (this.#ended) return;
    const { bytes, fds } = encodeMessage(message) satisfies EncodedMessage;
    if (bytes.length > MOST_MESSAGE_BYTES || fds.length > MOST_FDS) {
      this.#end();
      return;
    }
    const framed = new Uint8Array(HEADER_BYTES + bytes.length);
    new DataView(framed.buffer).setUint32(0, bytes.length, true);
    framed.set(bytes, HEADER_BYTES);
    const copies = copiesOf(fds);
    if (copies === undefined) {
      this.#end();
      return;
    }
    this.#waiting.push({ bytes: framed, fds: copies });
    this.#waitingBytes += framed.length;
    this.#flush();
  }

  /** @returns "gone" as well where the host can't send it: too many descriptors on their way, say */
  #send(bytes: Uint8Array, fds: readonly Fd[]): number | undefined | "gone" {
    try {
      return this.#socket.send(
        bytes,
        fds.map((fd) => fd.number),
      );
    } catch {
      return "gone";
    }
  }

  #flush(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const sent = this.#send(next.bytes, next.fds);
      if (sent === "gone" || (sent === undefined && this.#waitingBytes > MOST_WAITING_BYTES)) {
        this.#end();
        return;
      }
      if (sent === undefined) break;
      this.#waitingBytes -= sent;
      // The descriptors went with the first byte.
      for (const fd of next.fds) fd[Symbol.dispose]();
      if (sent < next.bytes.length) this.#waiting[0] = { bytes: next.bytes.subarray(sent), fds: [] };
      else this.#waiting.shift();
    }
    this.#watch?.change({ readable: true, writable: this.#waiting.length > 0 });
  }

  open(receiver: LinkReceiver): undefined {
    if (this.#ended) {
      queueMicrotask(() => receiver.closed());
      return;
    }
    this.#receiver = receiver;
    this.#watch = this.#poller.watch(this.#socket, { readable: true, writable: this.#waiting.length > 0 }, ({ writable }) => {
      if (writable && this.#waiting.length > 0) this.#flush();
      this.drain();
    });
  }

  drain(): boolean {
    while (!this.#ended && this.#receiver !== undefined && this.#readOnce());
    return true;
  }

  /** Reads what the message at hand needs, no more: descriptors belong to the bytes that they come with. @returns whether to go on */
  #readOnce(): boolean {
    const target = this.#body ?? this.#header;
    try {
      const received = this.#socket.receive(target, this.#have);
      if (received === undefined) return false;
      this.#fds.push(...received.fds);
      this.#have += received.length;
      if (received.length === 0 || this.#fds.length > MOST_FDS) return this.#end();
      if (this.#have < target.length) return true;
      this.#have = 0;
      return this.#body === undefined ? this.#begin() : this.#deliver(this.#body);
    } catch {
      return this.#end();
    }
  }

  #begin(): boolean {
    const length = new DataView(this.#header.buffer).getUint32(0, true);
    if (length === 0 || length > MOST_MESSAGE_BYTES) return this.#end();
    this.#body = new Uint8Array(length);
    return true;
  }

  #deliver(body: Uint8Array): boolean {
    const fds = this.#fds;
    this.#body = undefined;
    this.#fds = [];
    try {
      const message = decodeMessage(
        body,
        fds.map((fd) => fd.number),
      );
      this.#receiver?.message(message);
    } finally {
      // Whoever wanted one has made it his own.
      for (const fd of fds) fd[Symbol.dispose]();
    }
    return true;
  }

  /** @returns false */
  #end(): false {
    if (this.#ended) return false;
    const receiver = this.#receiver;
    this.close();
    receiver?.closed();
    return false;
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#receiver = undefined;
    this.#watch?.[Symbol.dispose]();
    for (const fd of this.#fds) fd[Symbol.dispose]();
    this.#fds = [];
    for (const { fds } of this.#waiting) for (const fd of fds) fd[Symbol.dispose]();
    this.#waiting.length = 0;
    this.#socket[Symbol.dispose]();
  }
}

/** @returns undefined where this process may have no more descriptors, or one is closed */
function copiesOf(numbers: readonly number[]): readonly Fd[] | undefined {
  const fds: Fd[] = [];
  try {
    for (const number of numbers) fds.push(Fd.copyOf(number));
    return fds;
  } catch {
    for (const fd of fds) fd[Symbol.dispose]();
    return undefined;
  }
}
