/** What a driver sets through the control queue, and what it can't. */
import { fc, test as propertyTest } from "@fast-check/vitest";
import { FeatureSet, VirtioFeature } from "@virtspace/virtio";
import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { NetFeature } from "../index.ts";
import { frameOf, Guest, layouts, MAC, PEER } from "../net-scenarios.ts";

const OK = 0;
const ERROR = 1;
const GROUP = 0x0100_5e00_0001;
const BROADCAST = 0xffff_ffff_ffff;
const u16 = (value: number): number[] => [value & 0xff, value >>> 8];
const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
const mac = (value: number): number[] => [40, 32, 24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) & 0xff);
const macs = (...values: number[]): number[] => [...u32(values.length), ...values.flatMap(mac)];
const RSS = { types: 63, mask: 1, unclassified: 0, table: [0, 1], pairs: 2, key: Array.from({ length: 40 }, (_, i) => i) };
const rss = ({ types, mask, unclassified, table, pairs, key } = RSS): number[] => [
  ...[4, 1, ...u32(types), ...u16(mask), ...u16(unclassified)],
  ...[...table.flatMap(u16), ...u16(pairs), key.length, ...key],
];

/** Whether frames for these addresses come through. */
function hears(guest: Guest, ...targets: number[]): boolean[] {
  return targets.map((target) => {
    guest.give([100]);
    guest.wire.deliver(frameOf(60, { target }));
    return guest.back(0).length === 1;
  });
}

describe.each(layouts)("%s", (_, layout) => {
  test("receive modes and addresses decide what is heard", () => {
    using guest = new Guest({ layout });
    expect(hears(guest, MAC, PEER, GROUP, BROADCAST)).toEqual([true, true, true, true]);
    expect(guest.control([0, 0, 0]).ack).toBe(OK);
    expect(hears(guest, MAC, PEER, GROUP, BROADCAST)).toEqual([true, false, false, true]);
    expect(guest.control([1, 0, ...macs(PEER), ...macs(GROUP)]).ack).toBe(OK);
    expect(hears(guest, MAC, PEER, PEER + 1, GROUP, GROUP + 1)).toEqual([true, true, false, true, false]);
    guest.control([0, 1, 1]);
    guest.control([0, 2, 1]);
    expect(hears(guest, PEER + 1, GROUP + 1)).toEqual([true, true]);
    for (const mode of [3, 4, 5]) expect(guest.control([0, mode, 1]).ack).toBe(OK);
    expect(hears(guest, MAC, GROUP, BROADCAST)).toEqual([false, false, false]);
    expect(guest.control([0, 0, 1]).ack).toBe(OK);
    expect(hears(guest, MAC, PEER, GROUP, BROADCAST)).toEqual([true, true, true, true]);
  });

  test("more addresses than are filtered let all of their kind in", () => {
    using guest = new Guest({ layout });
    guest.control([0, 0, 0]);
    const many = Array.from({ length: 257 }, (_, i) => PEER + 100 + i);
    expect(guest.control([1, 0, ...macs(...many), ...macs()]).ack).toBe(OK);
    expect(hears(guest, PEER, GROUP)).toEqual([true, false]);
  });

  test("CVE-2014-0150: a table of addresses longer than its command changes nothing", () => {
    using guest = new Guest({ layout });
    guest.control([0, 0, 0]);
    guest.control([1, 0, ...macs(PEER), ...macs()]);
    for (const bytes of [
      [1, 0],
      [1, 0, ...u32(0xffff_ffff)],
      [1, 0, ...u32(0x2aaa_aaab), ...mac(GROUP)],
      [1, 0, ...u32(2), ...mac(PEER)],
      [1, 0, ...macs(GROUP), ...u32(1)],
      [1, 0, ...macs(GROUP), ...u32(0x1000_0000), 1, 2, 3],
    ]) {
      expect(guest.control(bytes).ack).toBe(ERROR);
    }
    expect(hears(guest, PEER, PEER + 1)).toEqual([true, false]);
  });

  test("a new address shows in the configuration; a group's is none", () => {
    using guest = new Guest({ layout });
    guest.control([0, 0, 0]);
    expect([guest.control([1, 1, ...mac(PEER)]).ack, guest.net.config.read(5, 1)]).toEqual([OK, 1]);
    expect(hears(guest, MAC, PEER)).toEqual([false, true]);
    expect([guest.control([1, 1, ...mac(GROUP)]).ack, guest.control([1, 1, 1, 2, 3]).ack, guest.net.config.read(0, 1)]).toEqual([
      ERROR,
      ERROR,
      0x52,
    ]);
  });

  test("VLANs are let in one by one", () => {
    using guest = new Guest({ layout });
    guest.control([0, 0, 0]);
    const tagged = (id: number): boolean => {
      guest.give([100]);
      const frame = frameOf(60, { type: 0x8100 });
      frame.set([0x20 | (id >>> 8), id & 0xff], 14);
      guest.wire.deliver(frame);
      return guest.back(0).length === 1;
    };
    expect([tagged(7), guest.control([2, 0, 7, 0]).ack, tagged(7), tagged(8)]).toEqual([false, OK, true, false]);
    expect([guest.control([2, 1, 7, 0]).ack, tagged(7), hears(guest, MAC)]).toEqual([OK, false, [true]]);
    expect([guest.control([2, 0, ...u16(4096)]).ack, guest.control([2, 0, 1]).ack]).toEqual([ERROR, ERROR]);
  });

  test("pairs of queues: one until the driver says, then those that it says", () => {
    using guest = new Guest({ layout, queuePairs: 3 });
    const flows = (): number => {
      for (let pair = 0; pair < 3; pair++) guest.give(new Array(8).fill(100), pair);
      for (let port = 0; port < 8; port++) guest.wire.deliver(udp(port));
      const used = [0, 1, 2].map((pair) => guest.back(2 * pair).length);
      expect(used.reduce((sum, count) => sum + count)).toBe(8);
      return used.filter((count) => count > 0).length;
    };
    expect([flows(), guest.control([4, 0, 3, 0]).ack, flows()]).toEqual([1, OK, 3]);
    for (const pairs of [0, 4, 0x8000]) expect(guest.control([4, 0, ...u16(pairs)]).ack).toBe(ERROR);
    expect(guest.control([4, 0, 3]).ack).toBe(ERROR);
  });

  test("a flow's answers come through the pair that it was sent through", () => {
    using guest = new Guest({ layout, queuePairs: 3 });
    guest.control([4, 0, 3, 0]);
    for (const pair of [2, 0, 1]) {
      guest.send(udp(7, true), {}, pair);
      for (let each = 0; each < 3; each++) guest.give([100], each);
      guest.wire.deliver(udp(7));
      expect([0, 1, 2].map((each) => guest.back(2 * each).length)).toEqual([0, 1, 2].map((each) => (each === pair ? 1 : 0)));
    }
  });

  test("RSS spreads by the driver's table and tells the hash; CVE-2024-6505: no table names a queue that is not there", () => {
    using guest = new Guest({ layout, queuePairs: 2 });
    expect(guest.control(rss()).ack).toBe(OK);
    const [first, second] = [guest.give(new Array(16).fill(100), 0), guest.give(new Array(16).fill(100), 1)];
    for (let port = 0; port < 8; port++) guest.wire.deliver(udp(port));
    const used = [guest.back(0).length, guest.back(2).length] as const;
    expect([used[0] + used[1], used[0] > 0, used[1] > 0]).toEqual([8, true, true]);
    // The low bit of the hash is the place in the table of two.
    const view = (address: number | undefined) => new DataView(guest.bytes(address as number, 20).buffer);
    expect([view(first[0]).getUint32(12, true) & 1, view(first[0]).getUint16(16, true)]).toEqual([0, 3]);
    expect([view(second[0]).getUint32(12, true) & 1, view(second[0]).getUint16(16, true)]).toEqual([1, 3]);
    for (const wrong of [
      { table: [0, 2] },
      { unclassified: 2 },
      { mask: 2, table: [0, 0, 0] },
      { mask: 0xffff, table: [0] },
      { mask: 255, table: new Array(256).fill(0) },
      { types: 64 },
      { pairs: 0 },
      { pairs: 3 },
      { key: new Array(41).fill(0) },
    ]) {
      expect(guest.control(rss({ ...RSS, ...wrong })).ack).toBe(ERROR);
    }
    expect(guest.control(rss().slice(0, -1)).ack).toBe(ERROR);
  });

  test("hashes alone are told, of the kinds that are wanted", () => {
    using guest = new Guest({ layout });
    expect(guest.control([4, 2, ...u32(1), ...new Array(8).fill(0), 40, ...RSS.key]).ack).toBe(OK);
    const [address] = guest.give([100, 100]);
    guest.wire.deliver(udp(1));
    const view = new DataView(guest.bytes(address as number, 20).buffer);
    expect([view.getUint16(16, true), view.getUint32(12, true) > 0]).toEqual([1, true]);
    expect([guest.control([4, 2, ...u32(1)]).ack, guest.control([4, 2, ...u32(64), ...new Array(8).fill(0), 0]).ack]).toEqual([
      ERROR,
      ERROR,
    ]);
  });

  test("what the driver takes may change while it runs, within what was negotiated", () => {
    const bits = [NetFeature.GuestCsum, NetFeature.GuestTso4, NetFeature.CtrlVq, NetFeature.CtrlGuestOffloads];
    using guest = new Guest({ layout, wanted: FeatureSet.of(VirtioFeature.Version1, ...bits) });
    expect(guest.net.accepts).toMatchObject({ checksum: true, segmentation: ["tcp4"] });
    expect([guest.control([5, 0, ...u32(2), ...u32(0)]).ack, guest.net.accepts.segmentation]).toEqual([OK, []]);
    expect([guest.control([5, 0, ...u32(2 | (1 << 8)), ...u32(0)]).ack, guest.net.accepts.checksum]).toEqual([ERROR, true]);
    expect([guest.control([5, 0, ...u32(0), ...u32(0)]).ack, guest.net.accepts.checksum]).toEqual([OK, false]);
  });

  test("interrupts are held back as the driver says, for all queues or one", () => {
    using guest = new Guest({ layout });
    const get = (queue: number): number[] => [...guest.control([6, 3, ...u16(queue), 0, 0], 12).answer.subarray(4)];
    expect([guest.control([6, 1, ...u32(4), ...u32(5000)]).ack, get(0), get(1)]).toEqual([
      OK,
      [...u32(4), ...u32(5000)],
      new Array(8).fill(0),
    ]);
    expect([guest.control([6, 0, ...u32(2), ...u32(3000)]).ack, get(1)]).toEqual([OK, [...u32(2), ...u32(3000)]]);
    expect([guest.control([6, 2, 0, 0, 0, 0, ...u32(9), ...u32(1000)]).ack, get(0)]).toEqual([OK, [...u32(9), ...u32(1000)]]);
    guest.control([6, 1, ...u32(4), ...u32(5000)]);
    guest.ring(0).wantInterrupts(true);
    guest.give(new Array(8).fill(100));
    const before = guest.net.count()[0]?.interrupts as number;
    for (let i = 0; i < 8; i++) guest.wire.deliver(frameOf(60));
    expect((guest.net.count()[0]?.interrupts as number) - before).toBeLessThanOrEqual(2);
    expect([guest.control([6, 2, 2, 0, 0, 0, ...u32(9), ...u32(1)]).ack, guest.control([6, 3, 9, 0, 0, 0], 12).ack]).toEqual([
      ERROR,
      ERROR,
    ]);
    expect(guest.control([6, 3, 0, 0, 0, 0], 11).ack).toBe(ERROR);
  });

  test("a command without its feature, an unknown one, and one of no length are refused", () => {
    using guest = new Guest({ layout, wanted: FeatureSet.of(VirtioFeature.Version1, NetFeature.CtrlVq) });
    expect([guest.control([0, 0, 0]).ack, guest.control([4, 0, 1, 0]).ack, guest.control([99, 9]).ack, guest.control([0]).ack]).toEqual(
      new Array(4).fill(ERROR),
    );
    expect([guest.control(new Uint8Array(65537)).ack, guest.mmio.runner.queue(2)?.fault]).toEqual([ERROR, undefined]);
    // No room for an answer: it comes back as it is.
    guest.ring(2).add([guest.buffer([0, 0])], []);
    guest.kick(2);
    expect(guest.back(2).map(({ written }) => written)).toEqual([0]);
  });
});

propertyTest.prop(
  [fc.array(fc.tuple(fc.nat(7), fc.nat(6), fc.uint8Array({ maxLength: 120 }), fc.nat(16)), { maxLength: 6 })],
  fuzzRuns(300),
)("no command throws, is left unanswered, or spoils the queues of frames", (commands) => {
  using guest = new Guest({ queuePairs: 2 });
  for (const [group, number, bytes, room] of commands) {
    const { ack } = guest.control([group, number, ...bytes], room);
    expect([OK, ERROR]).toContain(ack);
  }
  expect(guest.net.restore.bind(guest.net, structuredClone(guest.net.save()))).not.toThrow();
  guest.control([0, 0, 1]);
  for (let pair = 0; pair < 2; pair++) guest.give([2000], pair);
  guest.wire.deliver(frameOf(60));
  expect(guest.back(0).length + guest.back(2).length).toBe(1);
});

/** A datagram of a flow, or its answer's other direction. */
function udp(port: number, sent = false): Uint8Array {
  const frame = frameOf(60, { type: 0x0800, ...(sent && { target: PEER, source: MAC }) });
  const [near, far] = [
    [10, 0, 0, 1],
    [10, 0, 0, 2],
  ] as const;
  frame.set([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, ...(sent ? near : far), ...(sent ? far : near)], 14);
  const [own, other] = [
    [0x12, port],
    [0, 53],
  ] as const;
  frame.set(sent ? [...own, ...other] : [...other, ...own], 34);
  return frame;
}
