/** The back-end's own messages to the front-end, over the channel that SET_BACKEND_REQ_FD gave. @module */
import { type Fd, UnixSocket } from "@virtspace/host-linux";
import { encodeBackendRequest } from "../protocol/message-codec.ts";
import type { BACKEND_REQUESTS } from "../protocol/message-table.ts";

/** The channel. Messages are sent without a wish for an answer; one that finds no room is lost, as the peer does not read. */
export class BackendChannel implements Disposable {
  readonly #socket: UnixSocket;

  /** @param fd - the channel's own from now on */
  constructor(fd: Fd) {
    fd.setNonBlocking();
    this.#socket = new UnixSocket(fd.release());
  }

  /** Sends a message. */
  send(name: keyof typeof BACKEND_REQUESTS, payload: Readonly<Record<string, unknown>> = {}): void {
    try {
      this.#socket.send(encodeBackendRequest(name, payload));
    } catch {
      // What the peer gave is no socket: there is nobody to tell.
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
