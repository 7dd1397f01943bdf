/**
 * The messages of vhost-user, as one table: number, payload, how many file descriptors may come with it, what is answered, and which
 * protocol feature it belongs to. Parser, encoder, checks and the page in the docs follow from it.
 *
 * @see QEMU, docs/interop/vhost-user.rst, "Front-end message types" and "Back-end message types"
 * @module
 */
import type { LayoutName } from "./layout.ts";
import { ProtocolFeature as P } from "./protocol-feature.ts";

/** A kind of message. */
export interface MessageKind {
  /** Its number. */
  readonly id: number;
  /** What is in it. */
  readonly payload: LayoutName;
  /** The fewest and the most file descriptors beside it; none unless given. */
  readonly fds?: readonly [least: number, most: number];
  /** What is answered, whether a reply was asked for or not. */
  readonly reply?: LayoutName;
  /** The protocol feature that it belongs to. */
  readonly feature?: number;
  /** Whether the peer must have said SET_OWNER. */
  readonly owned?: boolean;
}

/** Regions of one table. */
const MOST_TABLE_REGIONS = 8;

/** From the front-end. */
export const REQUESTS = {
  GET_FEATURES: { id: 1, payload: "none", reply: "u64" },
  SET_FEATURES: { id: 2, payload: "u64" },
  SET_OWNER: { id: 3, payload: "none" },
  RESET_OWNER: { id: 4, payload: "none" },
  SET_MEM_TABLE: { id: 5, payload: "memoryTable", fds: [0, MOST_TABLE_REGIONS], owned: true },
  SET_LOG_BASE: { id: 6, payload: "log", fds: [1, 1], reply: "u64", feature: P.LogShmfd, owned: true },
  SET_LOG_FD: { id: 7, payload: "none", fds: [1, 1], owned: true },
  SET_VRING_NUM: { id: 8, payload: "vringState", owned: true },
  SET_VRING_ADDR: { id: 9, payload: "vringAddress", owned: true },
  SET_VRING_BASE: { id: 10, payload: "vringState", owned: true },
  GET_VRING_BASE: { id: 11, payload: "vringState", reply: "vringState", owned: true },
  SET_VRING_KICK: { id: 12, payload: "u64", fds: [0, 1], owned: true },
  SET_VRING_CALL: { id: 13, payload: "u64", fds: [0, 1] },
  SET_VRING_ERR: { id: 14, payload: "u64", fds: [0, 1] },
  GET_PROTOCOL_FEATURES: { id: 15, payload: "none", reply: "u64" },
  SET_PROTOCOL_FEATURES: { id: 16, payload: "u64" },
  GET_QUEUE_NUM: { id: 17, payload: "none", reply: "u64", feature: P.Mq },
  SET_VRING_ENABLE: { id: 18, payload: "vringState" },
  SEND_RARP: { id: 19, payload: "u64", feature: P.Rarp },
  NET_SET_MTU: { id: 20, payload: "u64", feature: P.NetMtu },
  SET_BACKEND_REQ_FD: { id: 21, payload: "none", fds: [1, 1], feature: P.BackendReq },
  GET_CONFIG: { id: 24, payload: "config", reply: "config", feature: P.Config },
  SET_CONFIG: { id: 25, payload: "config", feature: P.Config },
  GET_INFLIGHT_FD: { id: 31, payload: "inflight", reply: "inflight", feature: P.InflightShmfd },
  SET_INFLIGHT_FD: { id: 32, payload: "inflight", fds: [1, 1], feature: P.InflightShmfd },
  RESET_DEVICE: { id: 34, payload: "none", feature: P.ResetDevice },
  VRING_KICK: { id: 35, payload: "vringState", feature: P.InbandNotifications, owned: true },
  GET_MAX_MEM_SLOTS: { id: 36, payload: "none", reply: "u64", feature: P.ConfigureMemSlots },
  ADD_MEM_REG: { id: 37, payload: "region", fds: [1, 1], feature: P.ConfigureMemSlots, owned: true },
  REM_MEM_REG: { id: 38, payload: "region", fds: [0, 1], feature: P.ConfigureMemSlots, owned: true },
  SET_STATUS: { id: 39, payload: "u64", feature: P.Status },
  GET_STATUS: { id: 40, payload: "none", reply: "u64", feature: P.Status },
  SET_DEVICE_STATE_FD: { id: 42, payload: "transfer", fds: [1, 1], reply: "u64", feature: P.DeviceState },
  CHECK_DEVICE_STATE: { id: 43, payload: "none", reply: "u64", feature: P.DeviceState },
} as const satisfies Record<string, MessageKind>;

/** The messages of a front-end, for whoever wants to look: a table of {@link MessageKind}. */
export const MESSAGES: Readonly<Record<string, MessageKind>> = Object.freeze({ ...REQUESTS });

/** A request's name. */
export type RequestName = keyof typeof REQUESTS;

/** From the back-end, over the channel that SET_BACKEND_REQ_FD gave. */
export const BACKEND_REQUESTS = {
  CONFIG_CHANGE_MSG: { id: 2, payload: "none" },
  VRING_CALL: { id: 4, payload: "vringState" },
  VRING_ERR: { id: 5, payload: "vringState" },
} as const satisfies Record<string, MessageKind>;

/** The messages of a back-end, as {@link MESSAGES}. */
export const BACKEND_MESSAGES: Readonly<Record<string, MessageKind>> = Object.freeze({ ...BACKEND_REQUESTS });

const BY_ID: ReadonlyMap<number, RequestName> = new Map((Object.keys(REQUESTS) as RequestName[]).map((name) => [REQUESTS[name].id, name]));

/** The name of a request's number. */
export function requestName(id: number): RequestName | undefined {
  return BY_ID.get(id);
}
