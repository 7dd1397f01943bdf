/**
 * Reads one message after the other from a socket: exactly a header, then exactly its payload, so that the file descriptors that
 * come along are that message's.
 *
 * @module
 */
import type { Fd, UnixSocket } from "@virtspace/host-linux";
import { VhostUserError } from "../error/vhost-user-error.ts";
import { HEADER_BYTES, type Header, type Request, readHeader, readRequest } from "../protocol/message-codec.ts";

/** A message with its descriptors, which are the taker's. */
export interface Incoming {
  readonly request: Request;
  readonly fds: readonly Fd[];
}

/** More come with no message. */
const MOST_FDS = 8;

/** Reads messages. Dispose it to close descriptors that nobody took. */
export class MessageReader implements Disposable {
  readonly #socket: UnixSocket;
  readonly #head = new Uint8Array(HEADER_BYTES);
  #header: Header | undefined;
  #body = new Uint8Array(0);
  #have = 0;
  #fds: Fd[] = [];

  constructor(socket: UnixSocket) {
    this.#socket = socket;
  }

  /**
   * Reads the next message.
   *
   * @returns undefined where it has not come yet; "closed" where none will
   * @throws {@link VhostUserError} for what is no message, `cut-off` for one that ends before its end
   */
  next(): Incoming | undefined | "closed" {
    for (;;) {
      const target = this.#header === undefined ? this.#head : this.#body;
      if (this.#have === target.length) {
        const done = this.#complete();
        if (done !== undefined) return done;
        continue;
      }
      const received = this.#socket.receive(target, this.#have);
      if (received === undefined) return undefined;
      this.#fds.push(...received.fds);
      if (this.#fds.length > MOST_FDS) throw new VhostUserError("bad-fds", `more than ${MOST_FDS} file descriptors with one message`);
      if (received.length === 0) {
        if (this.#have === 0 && this.#header === undefined) return "closed";
        throw new VhostUserError("cut-off", "the peer went away in the middle of a message");
      }
      this.#have += received.length;
    }
  }

  #complete(): Incoming | undefined {
    this.#have = 0;
    if (this.#header === undefined) {
      this.#header = readHeader(this.#head);
      this.#body = new Uint8Array(this.#header.size);
      return undefined;
    }
    const header = this.#header;
    const fds = this.#fds;
    const request = readRequest(header, this.#body, fds.length);
    this.#header = undefined;
    this.#fds = [];
    return { request, fds };
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd[Symbol.dispose]();
    this.#fds = [];
  }
}
