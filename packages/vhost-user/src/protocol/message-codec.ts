/** Headers and whole messages, as bytes. @module */
import { VhostUserError } from "../error/vhost-user-error.ts";
import { LAYOUTS, type LayoutName, type PayloadOf, readPayload, writePayload } from "./layout.ts";
import { BACKEND_REQUESTS, type MessageKind, REQUESTS, type RequestName, requestName } from "./message-table.ts";

/** Bytes of a header. */
export const HEADER_BYTES = 12;
/** No payload is longer. */
const MOST_PAYLOAD_BYTES = 4096;
const VERSION = 1;
const VERSION_MASK = 3;
const REPLY = 4;
const NEED_REPLY = 8;

/** What a header says. */
export interface Header {
  readonly name: RequestName;
  /** Bytes of payload. */
  readonly size: number;
  /** Whether the peer wants to know whether it worked. */
  readonly needReply: boolean;
}

/** A request that was read: its payload depends on its name. */
export type Request = {
  [Name in RequestName]: {
    readonly name: Name;
    readonly payload: PayloadOf<(typeof REQUESTS)[Name]["payload"]>;
    readonly needReply: boolean;
  };
}[RequestName];

/** Reads a header. @throws {@link VhostUserError} `bad-header`, `unknown-request` */
export function readHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const [id, flags, size] = [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  if ((flags & VERSION_MASK) !== VERSION || (flags & ~(VERSION_MASK | NEED_REPLY)) !== 0) {
    throw new VhostUserError("bad-header", `message ${id} has flags 0x${flags.toString(16)}: neither a request nor of version ${VERSION}`);
  }
  if (size > MOST_PAYLOAD_BYTES) throw new VhostUserError("bad-header", `message ${id} has ${size} bytes: no message is that long`);
  const name = requestName(id);
  if (name === undefined) throw new VhostUserError("unknown-request", `there is no message ${id}, as far as this back-end knows`);
  return { name, size, needReply: (flags & NEED_REPLY) !== 0 };
}

/** Reads a request, of which the header was read. @throws {@link VhostUserError} `bad-payload`, `bad-fds` */
export function readRequest({ name, needReply }: Header, bytes: Uint8Array, fds: number): Request {
  const kind: MessageKind = REQUESTS[name];
  const payload = readPayload(LAYOUTS[kind.payload], bytes);
  if (payload === undefined) throw new VhostUserError("bad-payload", `${name} has ${bytes.length} bytes, which is not its length`);
  const [least, most] = kind.fds ?? [0, 0];
  if (fds < least || fds > most) {
    throw new VhostUserError(
      "bad-fds",
      `${name} came with ${fds} file descriptors: it carries ${least === most ? least : `${least} to ${most}`}`,
    );
  }
  return { name, payload, needReply } as unknown as Request;
}

function encode(id: number, flags: number, layout: LayoutName, payload: Readonly<Record<string, unknown>>): Uint8Array {
  const body = writePayload(LAYOUTS[layout], payload);
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, id, true);
  view.setUint32(4, VERSION | flags, true);
  view.setUint32(8, body.length, true);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** A reply to a request: its own, or a number that says whether it worked. */
export function encodeReply(name: RequestName, payload: Readonly<Record<string, unknown>>): Uint8Array {
  const kind: MessageKind = REQUESTS[name];
  return encode(kind.id, REPLY, kind.reply ?? "u64", payload);
}

/** A reply to a request that says that there is none. */
export function encodeEmptyReply(name: RequestName): Uint8Array {
  return encode(REQUESTS[name].id, REPLY, "none", {});
}

/** A request, for a front-end. */
export function encodeRequest(name: RequestName, payload: Readonly<Record<string, unknown>> = {}, needReply = false): Uint8Array {
  const kind: MessageKind = REQUESTS[name];
  return encode(kind.id, needReply ? NEED_REPLY : 0, kind.payload, payload);
}

/** A message of the back-end's own. */
export function encodeBackendRequest(name: keyof typeof BACKEND_REQUESTS, payload: Readonly<Record<string, unknown>> = {}): Uint8Array {
  const { id, payload: layout }: MessageKind = BACKEND_REQUESTS[name];
  return encode(id, 0, layout, payload);
}
