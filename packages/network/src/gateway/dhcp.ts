/**
 * A DHCP server for a small network: leases from a pool, by hardware address.
 *
 * @see RFC 2131, and RFC 2132 for the options
 * @module
 */
import { readMac } from "../frame/ethernet.ts";

/** Where addresses come from. */
export interface DhcpOptions {
  /** The server, which is the router too. */
  readonly server: number;
  /** Bits of the network's part of an address. */
  readonly prefix: number;
  /** The first address of the pool. */
  readonly first: number;
  /** Addresses in the pool. */
  readonly count: number;
  /** Seconds of a lease. */
  readonly leaseSeconds: number;
  /** Milliseconds since some moment. */
  readonly now: () => number;
}

/** An address that somebody has. */
export interface Lease {
  /** Whose. */
  readonly mac: number;
  /** The address. */
  readonly address: number;
  /** When it ends, by the server's clock. */
  readonly until: number;
}

/** What is to be sent. */
export interface DhcpReply {
  /** The message. */
  readonly message: Uint8Array;
  /** For whom: an address, or everybody. */
  readonly target: number;
  /** The hardware address. */
  readonly mac: number;
}

const COOKIE_AT = 236;
const OPTIONS_AT = 240;
const COOKIE = 0x63825363;
const EVERYBODY = 0xffff_ffff;
const Message = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;
const Option = { mask: 1, router: 3, dns: 6, requested: 50, leaseTime: 51, type: 53, server: 54, end: 255 } as const;

interface Request {
  readonly view: DataView;
  readonly type: number;
  readonly mac: number;
  readonly requested: number | undefined;
  readonly server: number | undefined;
  readonly client: number;
}

/** How long an address that was offered is kept for whom it was offered to, milliseconds. */
const OFFER_MILLISECONDS = 10_000;

/** The server. */
export class DhcpServer {
  readonly #options: DhcpOptions;
  readonly #leases = new Map<number, Lease>();
  /** What was offered and not asked for yet. */
  readonly #offers = new Map<number, Lease>();

  constructor(options: DhcpOptions) {
    this.#options = options;
  }

  /** Leases that have not ended. */
  get leases(): readonly Lease[] {
    const now = this.#options.now();
    return [...this.#leases.values()].filter(({ until }) => until > now);
  }

  /** Answers a message. @returns undefined where there is nothing to say: nonsense, for another server, no address left */
  answer(message: Uint8Array): DhcpReply | undefined {
    const request = parse(message);
    if (request === undefined) return undefined;
    const { server } = this.#options;
    if (request.server !== undefined && request.server !== server) return undefined;
    switch (request.type) {
      case Message.discover:
        return this.#offer(request);
      case Message.request:
        return this.#acknowledge(request);
      case Message.inform:
        return this.#reply(request, Message.ack, 0);
      case Message.release:
      case Message.decline:
        this.#leases.delete(request.mac);
        return undefined;
      default:
        return undefined;
    }
  }

  #offer(request: Request): DhcpReply | undefined {
    const { mac } = request;
    const address = this.#addressFor(mac, request.requested);
    if (address === undefined) return undefined;
    // Two who ask at the same time must not be offered the same.
    this.#offers.set(mac, { mac, address, until: this.#options.now() + OFFER_MILLISECONDS });
    return this.#reply(request, Message.offer, address);
  }

  #acknowledge(request: Request): DhcpReply | undefined {
    const wanted = request.requested ?? request.client;
    const address = this.#addressFor(request.mac, wanted);
    if (address === undefined || address !== wanted) return this.#reply(request, Message.nak, 0);
    const { leaseSeconds, now } = this.#options;
    this.#offers.delete(request.mac);
    this.#leases.set(request.mac, { mac: request.mac, address, until: now() + leaseSeconds * 1000 });
    return this.#reply(request, Message.ack, address);
  }

  /** The address that somebody has or may have: his own, the one that he wishes, or the first that is free. */
  #addressFor(mac: number, wished: number | undefined): number | undefined {
    const { first, count, now } = this.#options;
    const own = this.#leases.get(mac);
    if (own !== undefined) return own.address;
    const taken = new Set<number>();
    for (const kept of [this.#leases, this.#offers]) {
      for (const { mac: whose, address, until } of kept.values()) {
        if (until <= now()) kept.delete(whose);
        else if (whose !== mac) taken.add(address);
      }
    }
    if (wished !== undefined && wished >= first && wished < first + count && !taken.has(wished)) return wished;
    for (let address = first; address < first + count; address++) if (!taken.has(address)) return address;
    return undefined;
  }

  #reply({ view: request, mac, client }: Request, type: number, address: number): DhcpReply {
    const { server, prefix, leaseSeconds } = this.#options;
    const message = new Uint8Array(300);
    const view = new DataView(message.buffer);
    message[0] = 2;
    message.set([1, 6, 0], 1);
    view.setUint32(4, request.getUint32(4));
    const flags = request.getUint16(10);
    view.setUint16(10, flags);
    if (type === Message.ack) view.setUint32(12, client);
    view.setUint32(16, address);
    view.setUint32(20, server);
    for (let i = 0; i < 16; i++) message[28 + i] = request.getUint8(28 + i);
    view.setUint32(COOKIE_AT, COOKIE);
    let at = OPTIONS_AT;
    const put = (option: number, bytes: number, value: number): void => {
      message.set([option, bytes], at);
      if (bytes === 1) view.setUint8(at + 2, value);
      else view.setUint32(at + 2, value);
      at += 2 + bytes;
    };
    put(Option.type, 1, type);
    put(Option.server, 4, server);
    if (type !== Message.nak) {
      if (address !== 0) put(Option.leaseTime, 4, leaseSeconds);
      put(Option.mask, 4, (0xffff_ffff << (32 - prefix)) >>> 0);
      put(Option.router, 4, server);
      put(Option.dns, 4, server);
    }
    message[at] = Option.end;
    const everybody = type === Message.nak || (flags & 0x8000) !== 0;
    return { message, mac, target: everybody ? EVERYBODY : address || client || EVERYBODY };
  }
}

function parse(message: Uint8Array): Request | undefined {
  if (message.length < OPTIONS_AT || message[0] !== 1 || message[1] !== 1 || message[2] !== 6) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  if (view.getUint32(COOKIE_AT) !== COOKIE) return undefined;
  let type = 0;
  let requested: number | undefined;
  let server: number | undefined;
  for (let at = OPTIONS_AT; at < message.length && message[at] !== Option.end; ) {
    const option = message[at] as number;
    if (option === 0) {
      at++;
      continue;
    }
    const bytes = message[at + 1] ?? 0;
    if (at + 2 + bytes > message.length) return undefined;
    if (option === Option.type && bytes === 1) type = view.getUint8(at + 2);
    else if (option === Option.requested && bytes === 4) requested = view.getUint32(at + 2);
    else if (option === Option.server && bytes === 4) server = view.getUint32(at + 2);
    at += 2 + bytes;
  }
  return { view, type, mac: readMac(message, 28), requested, server, client: view.getUint32(12) };
}
