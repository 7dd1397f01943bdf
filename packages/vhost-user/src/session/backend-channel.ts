/** The back-end's own messages to the front-end, over the channel that SET_BACKEND_REQ_FD gave. @module */
import { fstatSync } from "node:fs";
import { type Fd, UnixSocket } from "@virtspace/host-linux";
import { VhostUserError } from "../error/vhost-user-error.ts";
import { encodeBackendRequest } from "../protocol/message-codec.ts";
import type { BACKEND_REQUESTS } from "../protocol/message-table.ts";

/** The channel. Messages are sent without a wish for an answer; one that finds no room is lost, as the peer does not read. */
export class BackendChannel implements Disposable {
  readonly #socket: UnixSocket;

  /**
   * @param fd - a socket; stays the caller's
   * @throws {@link VhostUserError} `bad-fds`
   */
  constructor(fd: Fd) {
    if (!fstatSync(fd.number).isSocket())
      throw new VhostUserError("bad-fds", "the back-end's own messages go by a socket, and this is none");
    this.#socket = new UnixSocket(fd.duplicate().release());
  }

  /** Sends a message. */
  send(name: keyof typeof BACKEND_REQUESTS, payload: Readonly<Record<string, unknown>> = {}): void {
    try {
      this.#socket.send(encodeBackendRequest(name, payload));
    } catch {
      // What the peer gave is no socket of a stream: there is nobody to tell.
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
