/** The card by the driver's side: frames both ways, offloads, several buffers, several queues, back-pressure, save and restore. */
import { LearningSwitch, NO_OFFLOAD, NO_OFFLOAD_SUPPORT } from "@virtspace/network";
import { FeatureSet, VirtioFeature } from "@virtspace/virtio";
import { describe, expect, test, vi } from "vitest";
import { NetFeature, VirtioNet } from "./index.ts";
import { EVERYTHING, frameOf, Guest, layouts, MAC, netHeader, PEER, Wire } from "./net-scenarios.ts";

const V1 = VirtioFeature.Version1;
const PLAIN = FeatureSet.of(V1);
const MERGEABLE = FeatureSet.of(V1, NetFeature.MrgRxbuf);
const OFFLOADS = FeatureSet.of(
  V1,
  ...[NetFeature.Csum, NetFeature.HostTso4, NetFeature.HostTso6, NetFeature.HostEcn, NetFeature.HostUso],
  ...[NetFeature.GuestCsum, NetFeature.GuestTso4, NetFeature.GuestTso6, NetFeature.GuestEcn, NetFeature.GuestUso4, NetFeature.GuestUso6],
);

describe("what is offered", () => {
  test("follows what the backend can do", () => {
    const bits = (accepts: typeof EVERYTHING): number[] => [
      ...new VirtioNet({ backend: new Wire(accepts), mac: MAC }).features.and(OFFLOADS),
    ];
    expect(bits(NO_OFFLOAD_SUPPORT)).toEqual([]);
    expect(bits({ checksum: true, segmentation: [] })).toEqual([0, 1]);
    expect(bits({ checksum: true, segmentation: ["tcp4"] })).toEqual([0, 1, 7, 9, 11, 13]);
    // Nobody may leave the cutting to us and not the checksum.
    expect(bits({ checksum: false, segmentation: ["tcp4", "udp"] })).toEqual([]);
    expect(bits(EVERYTHING)).toEqual([0, 1, 7, 8, 9, 11, 12, 13, 54, 55, 56]);
  });

  test("follows the options", () => {
    const has = (options: object): boolean[] => {
      const { features } = new VirtioNet({ backend: new Wire(), mac: MAC, ...options });
      return [NetFeature.Mq, NetFeature.Rss, NetFeature.Mtu, NetFeature.SpeedDuplex].map((bit) => features.has(bit));
    };
    expect(has({})).toEqual([false, false, false, false]);
    expect(has({ queuePairs: 2, mtu: 9000, speed: 10_000 })).toEqual([true, true, true, true]);
  });

  test("an address or a number of queues that no card has is refused with the remedy", () => {
    const make = (options: object) => () => new VirtioNet({ backend: new Wire(), mac: MAC, ...options });
    expect(make({ mac: "52:54:00" })).toThrow(/52:54:00:12:34:56/);
    expect(make({ mac: "01:00:5e:00:00:01" })).toThrow(/first byte is even/);
    expect(make({ queuePairs: 0 })).toThrow(/1 to 128/);
  });

  test("the configuration says it all", () => {
    const { config } = new VirtioNet({ backend: new Wire(), mac: "52:54:00:12:34:56", queuePairs: 3, mtu: 1400, speed: 25_000 });
    const bytes = Array.from({ length: config.size }, (_, at) => config.read(at, 1));
    expect(bytes.slice(0, 6)).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    expect([config.read(6, 2), config.read(8, 2), config.read(10, 2), config.read(12, 4), config.read(16, 1)]).toEqual([
      1, 3, 1400, 25_000, 1,
    ]);
    expect([config.read(17, 1), config.read(18, 2), config.read(20, 4)]).toEqual([40, 128, 63]);
  });
});

describe.each(layouts)("%s", (_, layout) => {
  test("a frame that was in flight when the process died before is given back, and not sent again", () => {
    using guest = new Guest({ wanted: PLAIN, layout });
    const { runner } = guest.mmio;
    const start = runner.stopQueue(1)?.used as number;
    const offer = (fill: number) => {
      const frame = frameOf(60, { fill });
      const buffer = guest.buffer([...netHeader({}, guest.headerBytes), ...frame]);
      return { frame, buffer, id: guest.ring(1).add([buffer], []) as number };
    };
    const [first, second] = [offer(1), offer(2)] as const;
    guest.ring(1).publish();
    const { address, length } = first.buffer;
    const inFlight = [{ id: first.id, slots: 1, readable: [[address, length] as const], writable: [] }];
    runner.startQueue({ ...guest.ring(1).config(1), state: { available: start + 1, used: start, inFlight } });
    guest.settle();
    expect(guest.wire.sent.map(({ bytes }) => bytes)).toEqual([[...second.frame]]);
    expect(guest.back(1)).toEqual([first, second].map(({ id }) => ({ id, written: 0 })));
    expect(guest.net.counters.find(({ name }) => name.startsWith("transmit"))).toMatchObject({ frames: 1, drops: { "in-flight": 1 } });
  });

  test("sends frames as they are, however the driver cut them", () => {
    using guest = new Guest({ wanted: PLAIN, layout });
    const frame = frameOf(100);
    const whole = [...netHeader({}, 12), ...frame];
    for (const cuts of [[], [12], [5], [12, 13, 40], [1, 2, 3, 50]]) {
      const pieces = [...cuts, whole.length].map((end, i) => whole.slice(cuts[i - 1] ?? 0, end));
      guest.transmit(pieces);
    }
    expect(guest.wire.sent.map(({ bytes }) => bytes)).toEqual(Array.from({ length: 5 }, () => [...frame]));
    expect(guest.back(1)).toHaveLength(5);
    expect(guest.net.count()[1]).toMatchObject({ frames: 5, bytes: 500, drops: {}, waits: 0 });
    expect(guest.net.counters[1]?.kicks).toBeGreaterThan(0);
  });

  test("receives frames into single buffers", () => {
    using guest = new Guest({ wanted: PLAIN, layout });
    const [first, second] = guest.give([1526, 1526]);
    const frame = frameOf(1514, { fill: 7 });
    expect([guest.wire.deliver(frame), guest.wire.deliver(frameOf(60))]).toEqual([true, true]);
    expect(guest.back(0).map(({ written }) => written)).toEqual([1526, 72]);
    expect([...guest.bytes(first as number, 1526)]).toEqual([...netHeader({ buffers: 1 }, 12), ...frame]);
    expect([...guest.bytes(second as number, 12)]).toEqual([...netHeader({ buffers: 1 }, 12)]);
    expect(guest.net.count()[0]).toMatchObject({ frames: 2, bytes: 1574, drops: {} });
  });

  test("a frame fills several buffers where that was negotiated, and is dropped where not", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    const addresses = guest.give([100, 100, 100, 100, 100]);
    const frame = frameOf(250, { fill: 9 });
    expect(guest.wire.deliver(frame)).toBe(true);
    expect(guest.back(0).map(({ written }) => written)).toEqual([100, 100, 62]);
    const got = addresses.slice(0, 3).flatMap((address, i) => [...guest.bytes(address, i === 2 ? 62 : 100)]);
    expect(got).toEqual([...netHeader({ buffers: 3 }, 12), ...frame]);
    using plain = new Guest({ wanted: PLAIN, layout });
    plain.give([100, 100, 100]);
    expect([plain.wire.deliver(frame), plain.back(0), plain.net.counters[0]?.drops]).toEqual([true, [], { "too-big": 1 }]);
    // Its buffers are there for what fits.
    expect([plain.wire.deliver(frameOf(60)), plain.back(0).length]).toEqual([true, 1]);
  });

  test("buffers that are too few for a frame wait for more, and the backend hears of those", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    guest.give([100, 100]);
    expect([guest.wire.deliver(frameOf(250)), guest.back(0), guest.net.counters[0]?.waits]).toEqual([false, [], 1]);
    const before = guest.wire.asked;
    guest.give([100]);
    expect(guest.wire.asked).toBe(before + 1);
    expect([guest.wire.deliver(frameOf(250)), guest.back(0).length]).toEqual([true, 3]);
    // Kicks that nobody waits for are not passed on.
    guest.give([100]);
    expect(guest.wire.asked).toBe(before + 1);
    // A frame that all buffers together don't hold is dropped, and does not wait for ever.
    guest.give(new Array(15).fill(20));
    expect([guest.wire.deliver(frameOf(1000)), guest.net.counters[0]?.drops]).toEqual([true, { "too-big": 1 }]);
  });

  test("what the backend has no room for stays the driver's, in order, and goes out when it has", () => {
    using guest = new Guest({ wanted: PLAIN, layout });
    guest.wire.room = 1;
    for (let i = 0; i < 4; i++) guest.send(frameOf(60 + i));
    expect([guest.wire.sent.length, guest.back(1).length, guest.net.counters[1]?.waits]).toEqual([1, 1, 1]);
    guest.wire.room = Number.POSITIVE_INFINITY;
    guest.wire.onRoom();
    guest.settle();
    expect([guest.wire.sent.map(({ bytes }) => bytes.length), guest.back(1).length]).toEqual([[60, 61, 62, 63], 3]);
  });

  test("the header says what is left to do, both ways", () => {
    using guest = new Guest({ wanted: OFFLOADS, layout });
    guest.send(frameOf(2000), { flags: 1, gso: 0x81, headerLength: 54, segmentSize: 1400, start: 34, offset: 16 });
    guest.send(frameOf(2000), { flags: 1, gso: 4, headerLength: 74, segmentSize: 1400, start: 54, offset: 16 });
    guest.send(frameOf(2000), { flags: 1, gso: 5, headerLength: 42, segmentSize: 1400, start: 34, offset: 6 });
    guest.send(frameOf(200), { flags: 1, start: 34, offset: 16 });
    guest.send(frameOf(200));
    expect(guest.wire.sent.map(({ offload: { segmentation, ecn, needsChecksum } }) => [segmentation, ecn, needsChecksum])).toEqual([
      ["tcp4", true, true],
      ["tcp6", false, true],
      ["udp", false, true],
      ["none", false, true],
      ["none", false, false],
    ]);
    expect(guest.net.accepts).toEqual(EVERYTHING);
    const [address, valid] = guest.give([3000, 100]);
    const { offload } = guest.wire.sent[0] as { offload: typeof NO_OFFLOAD };
    guest.wire.deliver(frameOf(2000), offload);
    guest.wire.deliver(frameOf(60), { ...NO_OFFLOAD, dataValid: true });
    const header = { flags: 1, gso: 0x81, headerLength: 54, segmentSize: 1400, start: 34, offset: 16, buffers: 1 };
    expect([...guest.bytes(address as number, 12)]).toEqual([...netHeader(header, 12)]);
    expect([...guest.bytes(valid as number, 12)]).toEqual([...netHeader({ flags: 2, buffers: 1 }, 12)]);
  });

  test("through a switch, guest memory to guest memory, with a segment cut for a driver that can't take it", () => {
    const backend = new LearningSwitch();
    const make = (mac: number, wanted: FeatureSet): Guest => new Guest({ backend: backend as never, mac, wanted, layout });
    using able = make(MAC, OFFLOADS);
    using plain = make(PEER, PLAIN);
    plain.give(new Array(8).fill(1600));
    able.give([100]);
    plain.send(frameOf(60, { target: MAC, source: PEER }));
    expect(able.back(0)).toHaveLength(1);
    const segment = frameOf(54 + 3000, { target: PEER, source: MAC, type: 0x0800 });
    segment.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
    segment[46] = 0x50;
    able.send(segment, { flags: 1, gso: 1, headerLength: 54, segmentSize: 1000, start: 34, offset: 16 });
    expect(plain.back(0).map(({ written }) => written)).toEqual([1066, 1066, 1066]);
  });

  test("a frame goes through a switch from one guest's memory to the other's, by arrays that are set once", () => {
    const backend = new LearningSwitch();
    const make = (mac: number): Guest => new Guest({ backend: backend as never, mac, wanted: MERGEABLE, layout });
    using from = make(MAC);
    using to = make(PEER);
    to.give(new Array(4).fill(1600));
    to.send(frameOf(60, { target: MAC, source: PEER }));
    const frame = frameOf(1514, { target: PEER, source: MAC });
    for (const pieces of [[frame], [frame.subarray(0, 700), frame.subarray(700)]]) {
      const buffers = pieces.map((piece) => from.buffer(piece));
      from.ring(1).add([from.buffer(netHeader({}, 12)), ...buffers], []);
      const set = vi.spyOn(Uint8Array.prototype, "set");
      let copied: number;
      try {
        from.kick(1);
        copied = set.mock.calls.reduce((sum, [bytes]) => sum + bytes.length, 0);
      } finally {
        set.mockRestore();
      }
      expect([copied, to.back(0).map(({ written }) => written)]).toEqual([1514, [1526]]);
    }
  });

  test("a card that is saved in mid-traffic goes on where it stood", () => {
    using guest = new Guest({
      wanted: MERGEABLE.or(FeatureSet.of(NetFeature.CtrlVq, NetFeature.CtrlRx, NetFeature.GuestAnnounce, NetFeature.Status)),
      layout,
    });
    guest.give([100, 100, 100]);
    guest.wire.deliver(frameOf(150));
    guest.wire.room = 1;
    for (let i = 0; i < 3; i++) guest.send(frameOf(60 + i));
    guest.control([0, 0, 0]);
    const state = JSON.parse(JSON.stringify(guest.mmio.save()));
    const sent = guest.wire.sent.length;
    guest.mmio.restore(state);
    guest.wire.room = Number.POSITIVE_INFINITY;
    guest.settle();
    expect(guest.wire.sent.slice(sent).map(({ bytes }) => bytes.length)).toEqual([61, 62]);
    expect([guest.back(1).length, guest.back(0).length, guest.wire.deliver(frameOf(60)), guest.back(0).length]).toEqual([3, 2, true, 1]);
    // The modes that the driver set stand, and it is asked to announce itself, once.
    expect([guest.wire.deliver(frameOf(60, { target: PEER })), guest.net.counters[0]?.drops]).toEqual([true, { filtered: 1 }]);
    expect(guest.net.config.announcing).toBe(true);
    expect([guest.control([3, 0]).ack, guest.net.config.announcing]).toEqual([0, false]);
  });

  test("a link that is down passes nothing, and the driver hears of it", () => {
    using guest = new Guest({ wanted: PLAIN.or(FeatureSet.of(NetFeature.Status)), layout });
    guest.give([100]);
    guest.driver.acknowledge();
    guest.net.linkUp = false;
    guest.net.linkUp = false;
    expect([guest.driver.acknowledge(), guest.net.config.read(6, 2)]).toEqual([2, 0]);
    guest.send(frameOf(60));
    guest.wire.deliver(frameOf(60));
    expect([guest.wire.sent, guest.back(0), guest.net.counters.map(({ drops }) => drops)]).toEqual([
      [],
      [],
      [{ "link-down": 1 }, { "link-down": 1 }, {}],
    ]);
    guest.net.linkUp = true;
    guest.send(frameOf(60));
    expect([guest.wire.deliver(frameOf(60)), guest.back(0).length, guest.wire.sent.length]).toEqual([true, 1, 1]);
  });

  test("a disabled queue discards what is sent, and gets nothing", () => {
    using guest = new Guest({ wanted: PLAIN, layout });
    guest.give([100]);
    guest.net.enableQueue(0, false);
    guest.net.enableQueue(1, false);
    guest.send(frameOf(60));
    expect([guest.back(1).length, guest.wire.sent, guest.net.counters[1]?.drops]).toEqual([1, [], { disabled: 1 }]);
    expect([guest.wire.deliver(frameOf(60)), guest.back(0)]).toEqual([true, []]);
    guest.net.enableQueue(0, true);
    expect([guest.wire.deliver(frameOf(60)), guest.back(0).length]).toEqual([true, 1]);
  });

  test("a driver that is not there yet gets nothing, and after a reset it is as at the beginning", () => {
    using guest = new Guest({ layout, idle: true });
    expect(guest.wire.deliver(frameOf(60))).toBe(true);
    guest.startQueues();
    guest.control([0, 0, 0]);
    guest.control([1, 1, 0x52, 0x54, 0, 9, 9, 9]);
    expect(guest.net.config.read(5, 1)).toBe(9);
    guest.driver.write(0x70, 0);
    expect([guest.net.config.read(5, 1), guest.wire.deliver(frameOf(60))]).toEqual([0x56, true]);
  });
});

test("a RARP request tells the network where an address is", () => {
  const wire = new Wire();
  using net = new VirtioNet({ backend: wire, mac: MAC });
  net.sendRarp(PEER);
  const bytes = wire.sent[0]?.bytes as number[];
  expect([bytes.length, bytes.slice(0, 6), bytes.slice(12, 22)]).toEqual([
    60,
    new Array(6).fill(255),
    [0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3],
  ]);
  expect([bytes.slice(6, 12), bytes.slice(22, 28), bytes.slice(32, 38)]).toEqual(new Array(3).fill([0x52, 0x54, 0, 0, 0, 1]));
});
