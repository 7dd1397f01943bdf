import { expect, test } from "vitest";
import { BROADCAST, BytesFrame, captured, LearningSwitch, PcapngWriter } from "../index.ts";
import { Station } from "../port/station-scenarios.ts";

interface Block {
  readonly type: number;
  readonly body: DataView;
}

/** Reads a file as a reader does: each block says its length at both ends. */
function blocks(chunks: readonly Uint8Array[]): Block[] {
  const file = new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
  const view = new DataView(file.buffer);
  const found: Block[] = [];
  for (let at = 0; at < file.length; ) {
    const length = view.getUint32(at + 4, true);
    expect([length % 4, view.getUint32(at + length - 4, true)]).toEqual([0, length]);
    found.push({ type: view.getUint32(at, true), body: new DataView(file.buffer, at + 8, length - 12) });
    at += length;
  }
  return found;
}

test("a capture is a pcapng file with an interface for each device, and both directions", () => {
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((bytes) => chunks.push(bytes), { now: () => 1_700_000_000_123.5 });
  const backend = captured(new LearningSwitch({ now: () => 0 }), writer);
  const [one, two] = [new Station(backend, 1), new Station(backend, 2)];
  one.send(BROADCAST, [1, 2, 3, 4, 5]);
  const found = blocks(chunks);
  expect(found.map(({ type }) => type)).toEqual([0x0a0d0d0a, 1, 1, 6, 6]);
  expect(found[0]?.body.getUint32(0, true)).toBe(0x1a2b3c4d);
  const [, , , received, sent] = found as [Block, Block, Block, Block, Block];
  const microseconds = 1_700_000_000_123_500;
  for (const [{ body }, interfaceNumber, direction] of [
    [received, 1, 1],
    [sent, 0, 2],
  ] as const) {
    expect(body.getUint32(0, true)).toBe(interfaceNumber);
    expect(body.getUint32(4, true) * 2 ** 32 + body.getUint32(8, true)).toBe(microseconds);
    expect([body.getUint32(12, true), body.getUint32(16, true)]).toEqual([19, 19]);
    expect([body.getUint8(20 + 14), body.getUint8(20 + 18)]).toEqual([1, 5]);
    expect([body.getUint16(40, true), body.getUint16(42, true), body.getUint32(44, true)]).toEqual([2, 4, direction]);
  }
  expect([one.port.counters.sentFrames, two.take()]).toEqual([1, [[1, 2, 3, 4, 5]]]);
});

test("a capture keeps the start of long frames, and nothing of what was not taken", () => {
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((bytes) => chunks.push(bytes), { snapLength: 16 });
  const number = writer.addInterface("wire");
  writer.frame(number, new BytesFrame(new Uint8Array(100)), "sent");
  const { body } = blocks(chunks)[2] as Block;
  expect([body.getUint32(12, true), body.getUint32(16, true)]).toEqual([16, 100]);

  const backend = captured(new LearningSwitch({ whenFull: "wait" }), writer);
  const [one, two] = [new Station(backend, 1), new Station(backend, 2)];
  two.send(BROADCAST);
  two.room = 0;
  const before = blocks(chunks).length;
  expect(one.send(two.mac)).toBe(false);
  expect(blocks(chunks)).toHaveLength(before);
});

test("a capture whose file has no room skips frames, counts them, and never an interface", () => {
  const chunks: Uint8Array[] = [];
  let room = false;
  const writer = new PcapngWriter((bytes) => chunks.push(bytes), { hasRoom: () => room });
  const backend = captured(new LearningSwitch(), writer);
  const [one] = [new Station(backend, 1), new Station(backend, 2)];
  one.send(BROADCAST, [1]);
  room = true;
  one.send(BROADCAST, [2]);
  expect([writer.skipped, blocks(chunks).map(({ type }) => type)]).toEqual([2, [0x0a0d0d0a, 1, 1, 6, 6]]);
});
