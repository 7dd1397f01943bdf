/**
 * A small gateway: a neighbour for guests that have nobody else. It answers ARP, ping, DHCP and UDP echo, and forwards nothing.
 *
 * @see RFC 826 (ARP), RFC 792 (ICMP), RFC 862 (echo)
 * @module
 */

import { BytesFrame } from "../frame/bytes-frame.ts";
import { foldedSum, partialSum } from "../frame/checksum.ts";
import { BROADCAST, HEADER_BYTES, MAX_FRAME_BYTES, macAddress, readMac, writeHeader, writeMac } from "../frame/ethernet.ts";
import { copyFrame, type Frame } from "../frame/frame.ts";
import type { OffloadSupport } from "../offload/offload.ts";
import type { NetworkBackend, NetworkEndpoint, NetworkPort } from "../port/network-backend.ts";
import { DhcpServer, type Lease } from "./dhcp.ts";
import { IP_BYTES, type IpPacket, ipAddress, Protocol, parseIp, writeIp } from "./ipv4.ts";
import { makeUdp, parseUdp } from "./udp.ts";

/** Who the gateway is. */
export interface GatewayOptions {
  /** For people; "gateway" unless given. */
  readonly name?: string;
  /** Its hardware address; 52:55:0a:00:02:02 unless given. */
  readonly mac?: string;
  /** Its address; 10.0.2.2 unless given. */
  readonly address?: string;
  /** Bits of the network's part; 24 unless given. */
  readonly prefix?: number;
  /** The first address that it leases; 10.0.2.15 unless given. */
  readonly firstLease?: string;
  /** Addresses that it leases; 100 unless given. */
  readonly leases?: number;
  /** Seconds of a lease; 86,400 unless given. */
  readonly leaseSeconds?: number;
  /** Milliseconds since some moment; the wall clock unless given. */
  readonly now?: () => number;
}

/** What the gateway has answered. */
export interface GatewayCounters {
  /** Who-has questions. */
  arp: number;
  /** Pings. */
  echo: number;
  /** DHCP messages. */
  dhcp: number;
  /** Datagrams to the echo port. */
  udpEcho: number;
  /** Frames that were nothing for it, or made no sense. */
  ignored: number;
  /** Answers that were not sent, since too many waited. */
  overrun: number;
}

const TYPE_IP = 0x0800;
const TYPE_ARP = 0x0806;
const ARP_BYTES = 28;
const ECHO_PORT = 7;
const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;
/** Answers that wait at the most: a guest that asks without listening must not fill our memory. */
const MOST_ANSWERS = 256;

/** The gateway. */
export class Gateway implements NetworkEndpoint, Disposable {
  readonly name: string;
  readonly accepts: OffloadSupport = { checksum: true, segmentation: [] };
  /** What it has answered. */
  readonly counters: GatewayCounters = { arp: 0, echo: 0, dhcp: 0, udpEcho: 0, ignored: 0, overrun: 0 };
  readonly #mac: number;
  readonly #address: number;
  readonly #dhcp: DhcpServer;
  readonly #port: NetworkPort;
  readonly #answers: Uint8Array[] = [];
  #sending = false;
  /** Whether there was room again while it was sending. */
  #roomAgain = false;

  /** Plugs a gateway in. */
  constructor(backend: NetworkBackend, options: GatewayOptions = {}) {
    const { name = "gateway", mac = "52:55:0a:00:02:02", address = "10.0.2.2", prefix = 24, firstLease = "10.0.2.15" } = options;
    const { leases = 100, leaseSeconds = 86_400, now = Date.now } = options;
    this.name = name;
    this.#mac = macAddress(mac);
    this.#address = ipAddress(address);
    this.#dhcp = new DhcpServer({ server: this.#address, prefix, first: ipAddress(firstLease), count: leases, leaseSeconds, now });
    this.#port = backend.plug(this);
    this.#port.onRoom(() => this.#send());
  }

  /** The addresses that it has given out. */
  get leases(): readonly Lease[] {
    return this.#dhcp.leases;
  }

  receive(frame: Frame): boolean {
    const length = Math.min(frame.length, MAX_FRAME_BYTES);
    const bytes = new Uint8Array(length);
    if (copyFrame(frame, 0, bytes) < length || !this.#answer(bytes, frame.offload.needsChecksum)) this.counters.ignored++;
    return true;
  }

  /** Answers go out when the batch that asked for them is over: the one who asked is done sending then. */
  flush(): void {
    this.#send();
  }

  #send(): void {
    this.#roomAgain = true;
    if (this.#sending) return;
    this.#sending = true;
    const answers = this.#answers;
    try {
      // Who has no room may make some within the flush, as he is shown what came; one that says so again and again is not believed.
      for (let tries = MOST_ANSWERS; this.#roomAgain && tries > 0; tries--) {
        this.#roomAgain = false;
        while (answers.length > 0 && this.#port.send(new BytesFrame(answers[0] as Uint8Array))) answers.shift();
        this.#port.flush();
      }
    } finally {
      this.#sending = false;
    }
  }

  /** @returns whether there was something to answer */
  #answer(bytes: Uint8Array, unsummed: boolean): boolean {
    if (bytes.length < HEADER_BYTES) return false;
    const target = readMac(bytes, 0);
    if (target !== this.#mac && target !== BROADCAST) return false;
    const view = new DataView(bytes.buffer);
    const type = view.getUint16(12);
    if (type === TYPE_ARP) return this.#answerArp(bytes, view);
    if (type !== TYPE_IP) return false;
    const packet = parseIp(view);
    if (packet === undefined) return false;
    if (packet.protocol === Protocol.Icmp && packet.target === this.#address) return this.#answerPing(bytes, packet, unsummed);
    return packet.protocol === Protocol.Udp && this.#answerUdp(bytes, view, packet, unsummed);
  }

  #answerArp(bytes: Uint8Array, view: DataView): boolean {
    const at = HEADER_BYTES;
    const asks = bytes.length >= at + ARP_BYTES && view.getUint32(at) === 0x0001_0800 && view.getUint32(at + 4) === 0x0604_0001;
    if (!asks || view.getUint32(at + 24) !== this.#address) return false;
    const answer = bytes.slice(0, at + ARP_BYTES);
    const reply = new DataView(answer.buffer);
    reply.setUint16(at + 6, 2);
    answer.copyWithin(at + 18, at + 8, at + 18);
    writeMac(answer, at + 8, this.#mac);
    reply.setUint32(at + 14, this.#address);
    this.counters.arp++;
    return this.#queue(answer, readMac(bytes, 6), TYPE_ARP);
  }

  #answerPing(bytes: Uint8Array, { source, from, to }: IpPacket, unsummed: boolean): boolean {
    if (to - from < 8 || bytes[from] !== 8 || bytes[from + 1] !== 0) return false;
    if (!unsummed && foldedSum(partialSum(bytes, from, to)) !== 0) return false;
    const answer = new Uint8Array(HEADER_BYTES + IP_BYTES + to - from);
    const payload = HEADER_BYTES + IP_BYTES;
    answer.set(bytes.subarray(from, to), payload);
    answer[payload] = 0;
    const view = new DataView(answer.buffer);
    view.setUint16(payload + 2, 0);
    view.setUint16(payload + 2, foldedSum(partialSum(answer, payload, answer.length)));
    writeIp(view, { protocol: Protocol.Icmp, source: this.#address, target: source });
    this.counters.echo++;
    return this.#queue(answer, readMac(bytes, 6), TYPE_IP);
  }

  #answerUdp(bytes: Uint8Array, view: DataView, packet: IpPacket, unsummed: boolean): boolean {
    const datagram = parseUdp(view, packet, unsummed);
    if (datagram === undefined) return false;
    const payload = bytes.subarray(datagram.from, datagram.to);
    if (datagram.target === DHCP_SERVER && datagram.source === DHCP_CLIENT) return this.#answerDhcp(payload);
    // Two echo servers would talk to each other for ever.
    const echoes = packet.target === this.#address && datagram.target === ECHO_PORT && datagram.source !== ECHO_PORT;
    if (!echoes) return false;
    const answer = makeUdp({ source: this.#address, target: packet.source }, { source: ECHO_PORT, target: datagram.source }, payload);
    this.counters.udpEcho++;
    return this.#queue(answer, readMac(bytes, 6), TYPE_IP);
  }

  #answerDhcp(message: Uint8Array): boolean {
    const reply = this.#dhcp.answer(message);
    if (reply === undefined) return false;
    const ports = { source: DHCP_SERVER, target: DHCP_CLIENT };
    const answer = makeUdp({ source: this.#address, target: reply.target }, ports, reply.message);
    this.counters.dhcp++;
    return this.#queue(answer, reply.target === 0xffff_ffff ? BROADCAST : reply.mac, TYPE_IP);
  }

  #queue(answer: Uint8Array, target: number, type: number): true {
    writeHeader(answer, target, this.#mac, type);
    if (this.#answers.length < MOST_ANSWERS) this.#answers.push(answer);
    else this.counters.overrun++;
    return true;
  }

  /** Unplugs it. Idempotent. */
  [Symbol.dispose](): void {
    this.#answers.length = 0;
    this.#port[Symbol.dispose]();
  }
}
