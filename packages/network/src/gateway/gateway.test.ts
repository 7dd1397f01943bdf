import { fc, test as prop } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { foldedSum, partialSum } from "../frame/checksum.ts";
import {
  BROADCAST,
  BytesFrame,
  formatIp,
  formatMac,
  Gateway,
  type GatewayOptions,
  HEADER_BYTES,
  ipAddress,
  LearningSwitch,
  macAddress,
  NO_OFFLOAD,
  readMac,
  writeHeader,
} from "../index.ts";
import { Station } from "../port/station-scenarios.ts";
import { Protocol, parseIp, writeIp } from "./ipv4.ts";
import { makeUdp, parseUdp } from "./udp.ts";

const GATEWAY = ipAddress("10.0.2.2");
const GATEWAY_MAC = macAddress("52:55:0a:00:02:02");
const GUEST = ipAddress("10.0.2.15");

class Guest extends Station {
  /** Sends a frame as it is. @returns what came back */
  ask(frame: Uint8Array, unsummed = false): Uint8Array[] {
    // What others said to everybody is none of this one's answers.
    this.got.length = 0;
    this.port.send(new BytesFrame(frame, unsummed ? { ...NO_OFFLOAD, needsChecksum: true } : NO_OFFLOAD));
    this.port.flush();
    return this.got.splice(0);
  }

  ip(target: number, payload: Uint8Array, protocol: number, to: number = GATEWAY_MAC): Uint8Array {
    const frame = new Uint8Array(HEADER_BYTES + 20 + payload.length);
    frame.set(payload, HEADER_BYTES + 20);
    writeIp(new DataView(frame.buffer), { protocol, source: GUEST, target });
    writeHeader(frame, to, this.mac, 0x0800);
    return frame;
  }

  ping(target: number, length = 56): Uint8Array {
    const message = Uint8Array.from({ length: 8 + length }, (_, i) => i & 0xff);
    message.set([8, 0, 0, 0, 0x12, 0x34, 0, 1]);
    new DataView(message.buffer).setUint16(2, foldedSum(partialSum(message, 0, message.length)));
    return this.ip(target, message, Protocol.Icmp);
  }

  udp(target: number, port: number, payload: Uint8Array, source = 4000, from = GUEST, to = GATEWAY_MAC): Uint8Array {
    const frame = makeUdp({ source: from, target }, { source, target: port }, payload);
    writeHeader(frame, to, this.mac, 0x0800);
    return frame;
  }

  arp(target: number): Uint8Array {
    const frame = new Uint8Array(60);
    const view = new DataView(frame.buffer);
    writeHeader(frame, BROADCAST, this.mac, 0x0806);
    view.setUint32(14, 0x0001_0800);
    view.setUint32(18, 0x0604_0001);
    frame.set(frame.subarray(6, 12), 22);
    view.setUint32(28, GUEST);
    view.setUint32(38, target);
    return frame;
  }

  /** A DHCP message; options as [number, bytes...]. */
  dhcp(type: number, options: readonly (readonly number[])[] = [], client = 0, flags = 0): Uint8Array {
    const message = new Uint8Array(300);
    const view = new DataView(message.buffer);
    message.set([1, 1, 6, 0]);
    view.setUint32(4, 0xabcd_1234);
    view.setUint16(10, flags);
    view.setUint32(12, client);
    const frame = new Uint8Array(14);
    writeHeader(frame, 0, this.mac, 0);
    message.set(frame.subarray(6, 12), 28);
    view.setUint32(236, 0x63825363);
    let at = 240;
    for (const [option, ...bytes] of [[53, type], ...options]) {
      message.set([option as number, bytes.length, ...bytes], at);
      at += 2 + bytes.length;
    }
    message[at] = 255;
    return this.udp(0xffff_ffff, 67, message, 68, client, BROADCAST);
  }

  /** Asks the DHCP server. @returns the reply's type, address, and options by number */
  lease(frame: Uint8Array): { type: number; address: string; options: Map<number, number[]>; to: string; target: string } | undefined {
    const [answer] = this.ask(frame);
    if (answer === undefined) return undefined;
    const view = new DataView(answer.buffer);
    const packet = parseIp(view);
    const datagram = packet && parseUdp(view, packet, false);
    if (packet === undefined || datagram === undefined) throw new Error("no datagram");
    const message = answer.subarray(datagram.from, datagram.to);
    expect([datagram.source, datagram.target, message[0]]).toEqual([67, 68, 2]);
    const options = new Map<number, number[]>();
    for (let at = 240; message[at] !== 255; at += 2 + (message[at + 1] as number)) {
      options.set(message[at] as number, [...message.subarray(at + 2, at + 2 + (message[at + 1] as number))]);
    }
    const data = new DataView(message.buffer, message.byteOffset);
    expect(data.getUint32(4)).toBe(0xabcd_1234);
    return {
      type: options.get(53)?.[0] ?? 0,
      address: formatIp(data.getUint32(16)),
      options,
      to: formatMac(readMac(answer, 0)),
      target: formatIp(packet.target),
    };
  }
}

const bytesOf = (address: string): number[] => address.split(".").map(Number);

function network(options: GatewayOptions = {}) {
  const clock = { now: 0 };
  const backend = new LearningSwitch({ now: () => 0 });
  const gateway = new Gateway(backend, { now: () => clock.now, ...options });
  return { backend, clock, gateway, guest: new Guest(backend, 1), other: new Guest(backend, 2) };
}

describe("the gateway", () => {
  test("says who it is, to those who ask for it", () => {
    const { gateway, guest } = network();
    const [answer] = guest.ask(guest.arp(GATEWAY)) as [Uint8Array];
    const view = new DataView(answer.buffer);
    expect([readMac(answer, 0), readMac(answer, 6), view.getUint16(20)]).toEqual([guest.mac, GATEWAY_MAC, 2]);
    expect([readMac(answer, 22), view.getUint32(28), readMac(answer, 32), view.getUint32(38)]).toEqual([
      GATEWAY_MAC,
      GATEWAY,
      guest.mac,
      GUEST,
    ]);
    expect(guest.ask(guest.arp(GUEST))).toEqual([]);
    expect([gateway.counters.arp, gateway.counters.ignored]).toEqual([1, 1]);
  });

  test.each([0, 1, 56, 1472, 60_000])("answers a ping of %d bytes with the same", (length) => {
    const { gateway, guest } = network();
    guest.ask(guest.arp(GATEWAY));
    const ping = guest.ping(GATEWAY, length);
    const [answer] = guest.ask(ping) as [Uint8Array];
    const packet = parseIp(new DataView(answer.buffer));
    expect(packet).toMatchObject({ protocol: 1, source: GATEWAY, target: GUEST, from: 34, to: 42 + length });
    expect([answer[34], foldedSum(partialSum(answer, 34, answer.length))]).toEqual([0, 0]);
    expect(answer.subarray(38)).toEqual(ping.subarray(38));
    expect(gateway.counters.echo).toBe(1);
  });

  test("echoes datagrams, with checksums or without, and not those of another echo", () => {
    const { gateway, guest } = network();
    guest.ask(guest.arp(GATEWAY));
    const payload = Uint8Array.of(1, 2, 3, 4, 5);
    for (const unsummed of [false, true]) {
      const frame = guest.udp(GATEWAY, 7, payload);
      if (unsummed) new DataView(frame.buffer).setUint16(40, 0xdead);
      const [answer] = guest.ask(frame, unsummed) as [Uint8Array];
      const view = new DataView(answer.buffer);
      const packet = parseIp(view) as NonNullable<ReturnType<typeof parseIp>>;
      expect(parseUdp(view, packet, false)).toMatchObject({ source: 7, target: 4000 });
      expect([...answer.subarray(42)]).toEqual([1, 2, 3, 4, 5]);
    }
    expect(guest.ask(guest.udp(GATEWAY, 7, payload, 7))).toEqual([]);
    expect(guest.ask(guest.udp(GATEWAY, 9, payload))).toEqual([]);
    const damaged = guest.udp(GATEWAY, 7, payload);
    damaged[45] = 0xff;
    expect(guest.ask(damaged)).toEqual([]);
    expect([gateway.counters.udpEcho, gateway.counters.ignored]).toEqual([2, 3]);
  });

  test("leases addresses: offer, request, the same again, and another to the next", () => {
    const { gateway, guest, other } = network();
    const offer = guest.lease(guest.dhcp(1));
    expect(offer).toMatchObject({ type: 2, address: "10.0.2.15", to: formatMac(guest.mac), target: "10.0.2.15" });
    expect(offer?.options.get(1)).toEqual([255, 255, 255, 0]);
    expect([offer?.options.get(3), offer?.options.get(6), offer?.options.get(51)]).toEqual([
      [10, 0, 2, 2],
      [10, 0, 2, 2],
      [0, 1, 0x51, 0x80],
    ]);
    expect(gateway.leases).toEqual([]);
    const request = [
      [50, ...bytesOf("10.0.2.15")],
      [54, ...bytesOf("10.0.2.2")],
    ];
    expect(guest.lease(guest.dhcp(3, request))).toMatchObject({ type: 5, address: "10.0.2.15" });
    expect(guest.lease(guest.dhcp(1))).toMatchObject({ type: 2, address: "10.0.2.15" });
    expect(other.lease(other.dhcp(1, [], 0, 0x8000))).toMatchObject({
      address: "10.0.2.16",
      to: "ff:ff:ff:ff:ff:ff",
      target: "255.255.255.255",
    });
    expect(other.lease(other.dhcp(3, request))).toMatchObject({ type: 6, address: "0.0.0.0", to: "ff:ff:ff:ff:ff:ff" });
    expect(gateway.leases.map(({ mac, address }) => [formatMac(mac), formatIp(address)])).toEqual([[formatMac(guest.mac), "10.0.2.15"]]);
    // Renewal comes from the address itself, by unicast in the field's own words.
    expect(guest.lease(guest.dhcp(3, [], GUEST))).toMatchObject({ type: 5, address: "10.0.2.15" });
    expect(guest.lease(guest.dhcp(8, [], GUEST))).toMatchObject({ type: 5, address: "0.0.0.0" });
  });

  test("offers two who ask at the same time different addresses, and what nobody asked for again later", () => {
    const { clock, guest, other } = network({ leases: 2 });
    expect([guest.lease(guest.dhcp(1))?.address, other.lease(other.dhcp(1))?.address]).toEqual(["10.0.2.15", "10.0.2.16"]);
    expect(guest.lease(guest.dhcp(1))?.address).toBe("10.0.2.15");
    clock.now = 10_001;
    expect(other.lease(other.dhcp(3, [[50, ...bytesOf("10.0.2.15")]]))).toMatchObject({ type: 5, address: "10.0.2.15" });
    expect(guest.lease(guest.dhcp(1))?.address).toBe("10.0.2.16");
  });

  test("takes addresses back: released, or past their time, and has no more than it has", () => {
    const { clock, gateway, guest, other } = network({ leases: 1, leaseSeconds: 60 });
    const request = [[50, ...bytesOf("10.0.2.15")]];
    guest.lease(guest.dhcp(3, request));
    expect(other.lease(other.dhcp(1))).toBeUndefined();
    clock.now = 60_001;
    expect([gateway.leases, other.lease(other.dhcp(3, request))?.type]).toEqual([[], 5]);
    expect(guest.lease(guest.dhcp(1))).toBeUndefined();
    other.lease(other.dhcp(7));
    expect(guest.lease(guest.dhcp(1))).toMatchObject({ type: 2, address: "10.0.2.15" });
    expect(guest.lease(guest.dhcp(3, [...request, [54, ...bytesOf("10.0.2.99")]]))).toBeUndefined();
  });

  test("keeps a bounded number of answers for one who asks and has no room", () => {
    const { gateway, guest } = network();
    guest.ask(guest.arp(GATEWAY));
    for (let i = 0; i < 1000; i++) guest.port.send(new BytesFrame(guest.ping(GATEWAY)));
    expect([gateway.counters.echo, gateway.counters.overrun]).toEqual([1000, 1000 - 256]);
    guest.port.flush();
    expect(guest.got).toHaveLength(256);
    gateway[Symbol.dispose]();
    gateway[Symbol.dispose]();
    guest.got.length = 0;
    expect(guest.ask(guest.ping(GATEWAY))).toEqual([]);
  });

  test("shows one who has no room what it has sent, and goes on when that makes room", () => {
    class Refilling extends Guest {
      override flush(): void {
        super.flush();
        this.makeRoom(2);
      }
    }
    const backend = new LearningSwitch({ whenFull: "wait" });
    const gateway = new Gateway(backend);
    const guest = new Refilling(backend, 1);
    guest.ask(guest.arp(GATEWAY));
    guest.room = 2;
    for (let i = 0; i < 5; i++) guest.port.send(new BytesFrame(guest.ping(GATEWAY)));
    guest.port.flush();
    expect([guest.got.length, gateway.counters.echo, guest.port.counters.drops]).toEqual([5, 5, {}]);
  });

  prop.prop(
    [fc.constantFrom("arp", "ping", "udp", "dhcp", "noise"), fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 12 }), fc.nat(400)],
    fuzzRuns(3000),
  )("throws at nothing that a guest sends, and answers each frame with one at the most", (kind, pokes, length) => {
    const { gateway, guest } = network();
    const frame =
      kind === "arp"
        ? guest.arp(GATEWAY)
        : kind === "ping"
          ? guest.ping(GATEWAY)
          : kind === "udp"
            ? guest.udp(GATEWAY, 7, Uint8Array.of(1, 2, 3))
            : kind === "dhcp"
              ? guest.dhcp(1)
              : new Uint8Array(400);
    for (const [at, value] of pokes) if (at < frame.length) frame[at] = value;
    const answers = guest.ask(frame.slice(0, Math.max(length, HEADER_BYTES)));
    expect(answers.length).toBeLessThanOrEqual(1);
    const { arp, echo, dhcp, udpEcho, ignored } = gateway.counters;
    expect(arp + echo + dhcp + udpEcho + ignored).toBeLessThanOrEqual(1);
  });
});

test("addresses are read as people write them, or refused", () => {
  expect([formatIp(ipAddress("192.168.1.254")), formatMac(macAddress("52:54:00:AB:cd:01"))]).toEqual([
    "192.168.1.254",
    "52:54:00:ab:cd:01",
  ]);
  for (const text of ["10.0.2", "10.0.2.256", "ten", "1.2.3.4.5"]) expect(() => ipAddress(text)).toThrow(RangeError);
  for (const text of ["52:54:00", "52-54-00-12-34-56", "52:54:00:12:34:5g"]) expect(() => macAddress(text)).toThrow(RangeError);
});
