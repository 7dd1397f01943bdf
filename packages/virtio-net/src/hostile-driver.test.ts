/** Drivers that lie, in a network card's own ways. Named after what went wrong elsewhere. */

import { fc, test as propertyTest } from "@fast-check/vitest";
import { type Frame, NO_OFFLOAD } from "@virtspace/network";
import { EngineMemory, gpa, MiB } from "@virtspace/virt-address-space";
import { FeatureSet, VirtioFeature } from "@virtspace/virtio";
import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../../../.config/fuzz/runs.ts";
import { NetFeature } from "./index.ts";
import { frameOf, Guest, layouts } from "./net-scenarios.ts";

const MERGEABLE = FeatureSet.of(VirtioFeature.Version1, NetFeature.MrgRxbuf);

describe.each(layouts)("%s", (_, layout) => {
  test("CVE-2022-2132: a chain no longer than the header is dropped, a header over many descriptors read", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    for (const length of [1, 11, 12, 13, 25]) guest.transmit([new Uint8Array(length)]);
    expect([guest.wire.sent, guest.back(1).length, guest.net.counters[1]?.drops]).toEqual([[], 5, { short: 5 }]);
    guest.transmit([...Array.from({ length: 12 }, () => [0]), [...frameOf(60)]]);
    expect(guest.wire.sent.map(({ bytes }) => bytes)).toEqual([[...frameOf(60)]]);
  });

  test("CVE-2023-6693: with hashes told and buffers merged the header to send is as long as it is", () => {
    using guest = new Guest({ wanted: MERGEABLE.or(FeatureSet.of(NetFeature.HashReport)), layout });
    guest.transmit([[...new Uint8Array(20), ...frameOf(60)]]);
    guest.transmit([new Uint8Array(20), frameOf(60)]);
    guest.transmit([new Uint8Array(33)]);
    expect(guest.wire.sent.map(({ bytes }) => bytes)).toEqual([[...frameOf(60)], [...frameOf(60)]]);
    expect(guest.net.counters[1]?.drops).toEqual({ short: 1 });
  });

  test("CVE-2024-11614: a checksum past the frame goes nowhere, nor what was not negotiated", () => {
    using guest = new Guest({ layout });
    for (const header of [
      { flags: 1, start: 59, offset: 0 },
      { flags: 1, start: 34, offset: 25 },
      { flags: 1, start: 0xffff, offset: 0xffff },
      { gso: 1, segmentSize: 1000 },
      { gso: 3, flags: 1, segmentSize: 1000 },
      { gso: 1, flags: 1, segmentSize: 0 },
      { gso: 0x80 },
      { gso: 0x85, flags: 1, segmentSize: 1000 },
    ]) {
      guest.send(frameOf(60), header);
    }
    expect([guest.wire.sent, guest.back(1).length, guest.net.counters[1]?.drops]).toEqual([[], 8, { "bad-header": 8 }]);
    using plain = new Guest({ wanted: MERGEABLE, layout });
    plain.send(frameOf(60), { flags: 1, start: 34, offset: 6 });
    expect([plain.wire.sent, plain.net.counters[1]?.drops]).toEqual([[], { "bad-header": 1 }]);
    plain.send(frameOf(60), { start: 0xffff, offset: 0xffff });
    expect(plain.wire.sent).toHaveLength(1);
  });

  test("receive buffers without room for a header come back empty, and those behind them are filled", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    guest.give([1, 11, 100]);
    expect([guest.wire.deliver(frameOf(60)), guest.back(0).map(({ written }) => written)]).toEqual([true, [0, 0, 72]]);
    for (let i = 0; i < 16; i++) guest.ring(0).add([guest.buffer(100)], []);
    guest.kick(0);
    expect([guest.wire.deliver(frameOf(60)), guest.back(0).length, guest.net.counters[0]?.drops]).toEqual([false, 16, {}]);
  });

  test("CVE-2021-3748: buffers whose memory goes away in mid-frame are given back empty, none is used after", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    let buffer = new ArrayBuffer(MiB);
    guest.space.map({ name: "buffers", base: gpa(0x1000_0000), memory: new EngineMemory({ size: MiB, buffer: () => buffer }) });
    for (let i = 0; i < 3; i++) guest.ring(0).add([], [{ address: gpa(0x1000_0000 + 4096 * i), length: 40 }]);
    guest.kick(0);
    // The second piece of the frame is asked for when the first one is written.
    const half = { bytes: frameOf(50), data: new DataView(new ArrayBuffer(50)) };
    const frame: Frame = {
      length: 100,
      pieces: 2,
      offload: NO_OFFLOAD,
      memory: (piece) => {
        if (piece === 0) return half;
        buffer.transfer();
        buffer = new ArrayBuffer(0);
        return half;
      },
      offset: () => 0,
      size: () => 50,
    };
    expect(guest.net.receive(frame)).toBe(true);
    guest.net.flush();
    expect([guest.back(0).map(({ written }) => written), guest.net.counters[0]?.drops]).toEqual([[0, 0, 0], { gone: 1 }]);
    guest.give([100]);
    expect([guest.wire.deliver(frameOf(60)), guest.back(0).length]).toEqual([true, 1]);
  });

  test("a queue that nobody agreed on is not served", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout, queuePairs: 2 });
    guest.ring(2).add([], [guest.buffer(100)]);
    guest.kick(2);
    guest.give([100]);
    expect([guest.wire.deliver(frameOf(60)), guest.wire.deliver(frameOf(60)), guest.back(0).length, guest.back(2)]).toEqual([
      true,
      false,
      1,
      [],
    ]);
  });

  test("a receive queue that the driver broke makes nobody wait", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    guest.ring(0).add([], [{ address: gpa(0x7000_0000), length: 100 }]);
    guest.kick(0);
    expect([guest.wire.deliver(frameOf(60)), guest.wire.deliver(frameOf(60))]).toEqual([true, true]);
    expect([guest.mmio.runner.queue(0)?.fault?.code, guest.net.counters[0]?.drops]).toEqual(["unmapped", { gone: 2 }]);
  });

  test("a card that is reset while its backend has no room sends nothing of the old queue", () => {
    using guest = new Guest({ wanted: MERGEABLE, layout });
    guest.wire.room = 0;
    guest.send(frameOf(60));
    guest.driver.write(0x70, 0);
    guest.wire.room = 9;
    guest.wire.onRoom();
    guest.settle();
    expect(guest.wire.sent).toEqual([]);
  });
});

propertyTest.prop(
  [fc.array(fc.tuple(fc.uint8Array({ maxLength: 24 }), fc.nat(100), fc.nat(60), fc.integer({ min: 1, max: 300 })), { maxLength: 12 })],
  fuzzRuns(300),
)("whatever headers and buffers a driver makes, all come back, and nothing throws", (rounds) => {
  using guest = new Guest();
  for (const [header, length, cut, room] of rounds) {
    const bytes = [...header, ...frameOf(length)];
    const at = Math.min(cut, bytes.length - 1);
    guest.transmit(at > 0 ? [bytes.slice(0, at), bytes.slice(at)] : [bytes]);
    expect(guest.back(1)).toHaveLength(1);
    guest.give([room]);
    guest.wire.deliver(frameOf(length + 14, { fill: 3 }), guest.wire.sent.at(-1)?.offload);
    guest.back(0);
  }
  expect([...guest.mmio.runner.queues()].map((queue) => queue.fault)).toEqual([undefined, undefined, undefined]);
});
