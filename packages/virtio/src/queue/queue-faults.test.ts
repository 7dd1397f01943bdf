/** Queues whose surroundings misbehave: devices, transports, memory that moves. Most are regressions, named after what broke. */
import { SplitDriver } from "@virtspace/conformance";
import { arrayBufferMemory, EngineMemory, gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { type Chain, FeatureSet, openVirtqueue, type QueueState, VirtioFeature, Virtqueue } from "../index.ts";
import { BORDER, BUFFERS, kinds, QueueTrial, range, TABLES } from "./queue-scenarios.ts";

const SPLIT = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc);
const IN_ORDER = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.InOrder);

const offer = (trial: QueueTrial, count: number): void => {
  for (let i = 0; i < count; i++) trial.driver.add([], [range(BUFFERS + i * 64, 64)]);
  trial.driver.publish();
};
const back = (trial: QueueTrial): number[] => {
  const ids: number[] = [];
  for (let used = trial.driver.used(); used !== undefined; used = trial.driver.used()) ids.push(used.id);
  return ids;
};

test.each(kinds)("%s: kicks can't buy a queue more than its budget: one later turn, however many there were", (_, features) => {
  using trial = new QueueTrial(features);
  let served = 0;
  trial.queue.serve(
    (chain) => {
      served++;
      chain.push();
      trial.queue.flush();
      trial.driver.used();
      offer(trial, 1);
    },
    { budget: 4 },
  );
  offer(trial, 1);
  for (let i = 0; i < 1000; i++) trial.queue.kick();
  expect(served).toBe(4);
  for (let turn = 0; turn < 3; turn++) {
    served = 0;
    trial.turn();
    for (let i = 0; i < 100; i++) trial.queue.kick();
    expect(served).toBe(4);
  }
});

describe.each(kinds)("%s, in an engine's memory", (_, features) => {
  test("goes on when the buffer is replaced without a word, at any moment", () => {
    let buffer = new ArrayBuffer(4 * MiB);
    const memory = new EngineMemory({ size: 4 * MiB, buffer: () => buffer });
    const grow = (): void => {
      buffer = buffer.transfer();
    };
    const space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory });
    using trial = new QueueTrial(features, 8, space);
    const { driver, queue } = trial;
    for (let round = 0; round < 30; round++) {
      driver.add([], [range(BUFFERS, 64)]);
      if (round % 4 === 0) grow();
      driver.publish();
      if (round % 4 === 1) grow();
      const chain = queue.pop() as Chain;
      if (round % 4 === 2) grow();
      chain.push(8);
      if (round % 4 === 3) grow();
      queue.flush();
      grow();
      expect([back(trial).length, trial.faults]).toEqual([1, []]);
    }
  });

  test("asks for notifications in the buffer that is there, though it was replaced in the interrupt", () => {
    let buffer = new ArrayBuffer(4 * MiB);
    const memory = new EngineMemory({ size: 4 * MiB, buffer: () => buffer });
    const space = VirtAddressSpace.create({ name: "guest" });
    space.map({ name: "ram", base: gpa(0), memory });
    using trial = new QueueTrial(features, 8, space);
    let handled = 0;
    trial.onInterrupt = () => {
      buffer = buffer.slice(0);
      memory.replaced();
    };
    trial.queue.serve(() => handled++);
    trial.driver.wantInterrupts(true);
    for (let i = 0; i < 5; i++) {
      trial.driver.add([], [range(BUFFERS, 8)]);
      if (trial.driver.publish()) trial.queue.kick();
      while (trial.turn());
      expect([handled, back(trial).length]).toEqual([i + 1, 1]);
      trial.driver.wantInterrupts(true);
    }
  });
});

test("an interrupt that throws, and a listener that does, are reported, and the queue serves on", () => {
  using trial = new QueueTrial(SPLIT);
  trial.onInterrupt = () => {
    throw new Error("no line");
  };
  let served = 0;
  trial.queue.onKick(() => {
    throw new Error("a bug");
  });
  trial.queue.serve(() => served++);
  for (let i = 1; i <= 3; i++) {
    offer(trial, 1);
    expect(() => trial.queue.kick()).not.toThrow();
    expect([served, back(trial).length]).toEqual([i, 1]);
  }
  expect(trial.failures.map((error) => (error as Error).message)).toEqual(["a bug", "no line", "a bug", "no line", "a bug", "no line"]);
  trial.queue.stop();
  trial.queue.kick();
  expect(trial.failures).toHaveLength(6);
});

test("the order of what is in flight outlasts being stopped twice", () => {
  using trial = new QueueTrial(IN_ORDER);
  offer(trial, 4);
  for (let i = 0; i < 3; i++) trial.queue.pop();
  trial.queue.pop()?.push();
  const ids = (state: QueueState): number[] => state.inFlight.map(({ id }) => id);
  const first = trial.queue.stop();
  trial.open(first);
  trial.queue.pop();
  trial.queue.pop();
  expect([ids(first), ids(trial.queue.stop())]).toEqual([
    [0, 1, 2, 3],
    [0, 1, 2, 3],
  ]);
});

test("thousands that were done and waited are given back on a restore, without a deep stack", () => {
  using trial = new QueueTrial(IN_ORDER, 32768);
  offer(trial, 32768);
  const chains: Chain[] = [];
  for (let chain = trial.queue.pop(); chain !== undefined; chain = trial.queue.pop()) chains.push(chain);
  for (const chain of chains.slice(1)) chain.push(1);
  trial.open(trial.queue.stop());
  trial.queue.pop()?.push(1);
  expect(trial.queue.pop()).toBeUndefined();
  trial.queue.flush();
  expect([back(trial).length, trial.queue.inFlight, trial.faults]).toEqual([32768, 0, []]);
});

test("a stopped queue says the same each time, and what is let go of after it is still in flight there", () => {
  using trial = new QueueTrial(SPLIT);
  offer(trial, 2);
  const chain = trial.queue.pop() as Chain;
  chain.hold();
  trial.queue.pop()?.push();
  const state = trial.queue.stop();
  chain.push();
  expect([state.inFlight.length, trial.queue.stop() === state, trial.queue.running]).toEqual([1, true, false]);
});

test("a driver that kicks from within the last interrupt of a stopping queue gets nothing more from it", () => {
  using trial = new QueueTrial(SPLIT);
  const served: number[] = [];
  trial.queue.serve((chain) => void served.push(chain.id));
  offer(trial, 1);
  const first = trial.queue.pop() as Chain;
  first.push();
  trial.onInterrupt = () => {
    offer(trial, 1);
    trial.queue.kick();
  };
  const state = trial.queue.stop();
  expect([served, state.available, state.used, trial.space.readU16(gpa(trial.split.usedRing + 2))]).toEqual([[], 1, 1, 1]);
});

test("a queue is stopped without blame when its memory went first", () => {
  const trial = new QueueTrial(SPLIT);
  offer(trial, 1);
  trial.queue.pop()?.push();
  trial.space[Symbol.dispose]();
  expect([trial.queue.stop().available, trial.faults, trial.interrupts]).toEqual([1, [], 0]);
});

test("a chain is the device's from pop to push, and not before or after", () => {
  using trial = new QueueTrial(IN_ORDER);
  offer(trial, 2);
  const [first, second] = [trial.queue.pop(), trial.queue.pop()] as [Chain, Chain];
  const gone = expect.objectContaining({ code: "not-in-flight" });
  second.push(8);
  expect(() => second.push(8)).toThrow(gone);
  expect(() => second.hold()).toThrow(gone);
  first.push(8);
  expect(() => first.hold()).toThrow(gone);
  trial.queue.flush();
  expect(back(trial)).toEqual([0, 1]);
});

test("a handler that gives its buffer back and keeps the next one under the same head keeps it", () => {
  using trial = new QueueTrial(SPLIT, 1);
  const kept: Chain[] = [];
  trial.queue.serve((chain) => {
    if (kept.length > 0) return;
    chain.push();
    trial.queue.flush();
    trial.driver.used();
    offer(trial, 1);
    const next = trial.queue.pop();
    if (next !== undefined) kept.push(next);
  });
  offer(trial, 1);
  trial.queue.kick();
  expect([kept.length, trial.driver.used(), trial.queue.inFlight]).toEqual([1, undefined, 1]);
});

test("a chain as long as the ring, with a buffer that is two for us, is restored", () => {
  using trial = new QueueTrial(SPLIT, 16);
  const pieces = Array.from({ length: 15 }, (_, i) => range(BUFFERS + i * 64, 8));
  trial.driver.add([...pieces, range(BORDER - 4, 8)], []);
  trial.driver.publish();
  expect(trial.queue.pop()?.pieces).toBe(17);
  trial.open(trial.queue.stop());
  expect([trial.queue.pop()?.readableBytes, trial.faults]).toEqual([16 * 8, []]);
});

test("a table may have more entries than its ring, as drivers make them", () => {
  using trial = new QueueTrial(SPLIT, 4);
  const pieces = Array.from({ length: 18 }, (_, i) => range(BUFFERS + i * 64, 8));
  trial.driver.add(pieces, [], { table: gpa(TABLES) });
  trial.driver.publish();
  expect([trial.queue.pop()?.pieces, trial.faults]).toEqual([18, []]);
});

test("what a device asks amiss of a chain is refused before a byte is touched", () => {
  using trial = new QueueTrial(SPLIT);
  trial.fill(range(BUFFERS - 64, 192), 7);
  trial.driver.add([range(BUFFERS, 64)], [range(BUFFERS + 64, 64)]);
  trial.driver.publish();
  const chain = trial.queue.pop() as Chain;
  for (const offset of [-16, -1, 0.5, Number.NaN]) {
    expect([chain.copyTo(offset, new Uint8Array(8)), chain.copyFrom(offset, new Uint8Array(8))]).toEqual([8, 8]);
    expect(chain.copyChain(0, chain, offset, 8)).toBe(8);
  }
  expect(trial.space.readU8(gpa(BUFFERS + 56))).toBe(7);
  chain.push(-1);
  trial.queue.flush();
  expect(trial.driver.used()).toEqual({ id: chain.id, written: 0 });
  for (const budget of [0, -1, 0.5, Number.NaN]) {
    expect(() => trial.queue.serve(() => {}, { budget })).toThrow(expect.objectContaining({ code: "invalid-argument" }));
  }
});

test("what a fill wrote is dirty, though it threw half-way", () => {
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4 * MiB) });
  const driver = new SplitDriver(space, { base: gpa(0x1_0000), size: 8, features: SPLIT });
  const queue = openVirtqueue(driver.config(0), { space, interrupt: () => {} });
  if (!(queue instanceof Virtqueue)) throw new Error(queue.code);
  driver.add([], [range(BUFFERS, 64)]);
  driver.publish();
  using log = space.dirtyLog("migration");
  log.harvest();
  const chain = queue.pop() as Chain;
  const broken = (bytes: Uint8Array): void => {
    bytes[0] = 9;
    throw new Error("a bug");
  };
  expect(() => chain.fill(broken)).toThrow("a bug");
  expect([log.harvest(), chain.written]).toEqual([[{ address: BUFFERS, length: 4096 }], 0]);
  queue.stop();
});
