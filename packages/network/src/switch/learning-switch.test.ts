import { expect, test, vi } from "vitest";
import {
  BROADCAST,
  BytesFrame,
  type Frame,
  LearningSwitch,
  type LearningSwitchOptions,
  Loopback,
  MAX_FRAME_BYTES,
  NO_OFFLOAD,
  writeHeader,
} from "../index.ts";
import { mac, Station } from "../port/station-scenarios.ts";

function network(options: LearningSwitchOptions = {}) {
  const clock = { now: 0 };
  const backend = new LearningSwitch({ now: () => clock.now, ...options });
  const [one, two, three] = [1, 2, 3].map((number) => new Station(backend, number)) as [Station, Station, Station];
  return { clock, backend, one, two, three };
}

test("sends what it does not know to all, and what it has learned to one", () => {
  const { one, two, three, backend } = network();
  one.send(two.mac);
  expect([one.take(), two.take(), three.take()]).toEqual([[], [[1, 2, 3]], [[1, 2, 3]]]);
  two.send(one.mac, [4]);
  expect([one.take(), two.take(), three.take()]).toEqual([[[4]], [], []]);
  one.send(two.mac, [5]);
  expect([two.take(), three.take(), backend.known]).toEqual([[[5]], [], 2]);
  three.send(BROADCAST, [6]);
  expect([one.take(), two.take(), three.take()]).toEqual([[[6]], [[6]], []]);
  expect([one.port.counters.sentFrames, one.port.counters.receivedFrames, one.port.counters.sentBytes]).toEqual([2, 2, 32]);
  expect([one.flushes, two.flushes]).toEqual([2, 3]);
});

test("follows an address that moves, and forgets one that is silent or unplugged", () => {
  const { clock, one, two, three, backend } = network({ ageMilliseconds: 1000 });
  two.send(BROADCAST);
  three.send(BROADCAST, [1], two.mac);
  for (const each of [one, two, three]) each.take();
  one.send(two.mac);
  expect([two.take().length, three.take().length]).toEqual([0, 1]);
  clock.now = 2001;
  one.send(two.mac);
  expect([two.take().length, three.take().length]).toEqual([1, 1]);
  two.send(one.mac);
  two.port[Symbol.dispose]();
  two.port[Symbol.dispose]();
  one.take();
  one.send(two.mac);
  expect([two.take(), three.take().length, backend.known]).toEqual([[], 1, 1]);
  two.send(one.mac);
  expect([one.take(), two.port.counters.drops]).toEqual([[], { unplugged: 1 }]);
});

test("keeps a table of a bounded size, and a stranger's inventions push out the oldest", () => {
  const { clock, backend, one, two } = network({ most: 4 });
  two.send(BROADCAST);
  for (let i = 0; i < 50; i++) {
    clock.now++;
    one.send(BROADCAST, [1], mac(100 + i));
    two.send(BROADCAST);
  }
  expect(backend.known).toBe(4);
  one.take();
  two.take();
  one.send(two.mac);
  expect(two.take()).toHaveLength(1);
});

test("limits what a port may send to everybody, and leaves what it sends to one alone", () => {
  const { clock, one, two } = network({ floodsPerSecond: 10 });
  two.send(one.mac);
  for (let i = 0; i < 25; i++) one.send(BROADCAST);
  expect([two.take().length, one.port.counters.drops]).toEqual([10, { "flood-limit": 15 }]);
  for (let i = 0; i < 25; i++) one.send(two.mac);
  expect(two.take()).toHaveLength(25);
  clock.now += 500;
  for (let i = 0; i < 25; i++) one.send(BROADCAST);
  expect(two.take()).toHaveLength(5);
});

test("drops for a receiver without room, and counts it there", () => {
  const { one, two } = network();
  two.send(BROADCAST);
  two.room = 1;
  expect([one.send(two.mac, [1]), one.send(two.mac, [2])]).toEqual([true, true]);
  expect([two.take(), two.port.counters.drops]).toEqual([[[1]], { "no-room": 1 }]);
});

test("lets a sender wait where it is told to, loses nothing, and never waits with what is for everybody", () => {
  const { one, two, three } = network({ whenFull: "wait" });
  two.send(BROADCAST);
  two.room = 1;
  const queue = [[1], [2], [3]];
  const pump = (): void => {
    while (queue.length > 0 && one.send(two.mac, queue[0])) queue.shift();
  };
  one.port.onRoom(pump);
  pump();
  expect(queue).toEqual([[2], [3]]);
  expect(one.send(BROADCAST, [9])).toBe(true);
  expect([three.take().at(-1), two.port.counters.drops]).toEqual([[9], { "no-room": 1 }]);
  two.makeRoom(1);
  expect(queue).toEqual([[3]]);
  two.makeRoom(5);
  expect([queue, two.take()]).toEqual([[], [[1], [2], [3]]]);
  two.room = 0;
  queue.push([4]);
  pump();
  expect(queue).toHaveLength(1);
  // Whom it waited for is gone: it may go on, and nobody gets it.
  two.port[Symbol.dispose]();
  expect(queue).toEqual([]);
});

/** A sender of numbered frames, which goes on when there is room. */
function pumpOf(one: Station, two: Station, from: number, count: number): number[] {
  const queue = Array.from({ length: count }, (_, i) => from + i);
  const pump = (): void => {
    while (queue.length > 0 && one.send(two.mac, [queue[0] as number])) queue.shift();
  };
  one.port.onRoom(pump);
  pump();
  return queue;
}

/** A network whose timers go off when the test says so. */
function pacedNetwork() {
  const timers = new Set<{ readonly at: number; readonly task: () => void }>();
  const after = (milliseconds: number, task: () => void): Disposable => {
    const timer = { at: made.clock.now + milliseconds, task };
    timers.add(timer);
    return { [Symbol.dispose]: () => void timers.delete(timer) };
  };
  const made = network({ whenFull: "pace", after });
  const pass = (milliseconds: number): void => {
    made.clock.now += milliseconds;
    for (const timer of timers) {
      if (timer.at > made.clock.now) continue;
      timers.delete(timer);
      timer.task();
    }
  };
  made.two.send(BROADCAST);
  return { ...made, timers, pass };
}

test("waits for a receiver that takes frames at a fair pace, and loses nothing", () => {
  const { one, two, timers, pass } = pacedNetwork();
  two.room = 100;
  const queue = pumpOf(one, two, 0, 250);
  for (let i = 0; i < 3; i++) {
    // 100 frames in 2 ms: what it has earned by them.
    pass(2);
    two.makeRoom(100);
  }
  expect([queue.length, two.take().length, two.port.counters.drops, timers.size]).toEqual([0, 250, {}, 0]);
});

test("waits no longer for one that doesn't, and begins again when it does", () => {
  const { one, two, three, timers, pass } = pacedNetwork();
  two.room = 0;
  const queue = pumpOf(one, two, 0, 3);
  expect([queue.length, timers.size]).toEqual([3, 1]);
  // A second sender waits as long as the first has left.
  three.send(BROADCAST);
  const other = pumpOf(three, two, 10, 2);
  pass(4);
  expect([queue.length, other.length]).toEqual([3, 2]);
  pass(1);
  expect([queue, other, two.port.counters.drops, timers.size]).toEqual([[], [], { "no-room": 6 }, 0]);
  // One frame a long time earns next to nothing: others are held up for a fiftieth of a millisecond by each.
  for (let i = 0; i < 3; i++) {
    two.makeRoom(1);
    expect([pumpOf(one, two, 0, 2).length, timers.size]).toEqual([1, 1]);
    pass(1);
    expect([pumpOf(one, two, 0, 2).length, timers.size]).toEqual([0, 0]);
    for (let taken = 0; taken < 49; taken++) {
      two.makeRoom(1);
      one.send(two.mac);
    }
  }
  // It is gone: nobody waits for it, and no timer is left.
  two.makeRoom(400);
  const last = pumpOf(one, two, 0, 450);
  expect([last.length, timers.size]).toEqual([50, 1]);
  two.port[Symbol.dispose]();
  expect([last.length, timers.size]).toEqual([0, 0]);
});

test("has timers of its own where none are given", async () => {
  const backend = new LearningSwitch({ whenFull: "pace" });
  const [one, two] = [new Station(backend, 1), new Station(backend, 2)];
  two.send(BROADCAST);
  two.room = 0;
  const queue = pumpOf(one, two, 0, 2);
  expect(queue).toHaveLength(2);
  await vi.waitFor(() => expect(queue).toEqual([]));
  expect(two.port.counters.drops).toEqual({ "no-room": 2 });
});

test("drops what is no frame", () => {
  const { one, two, three } = network();
  const send = (bytes: Uint8Array): boolean => one.port.send(new BytesFrame(bytes));
  const long = new Uint8Array(MAX_FRAME_BYTES + 1);
  writeHeader(long, two.mac, one.mac, 0x800);
  expect([send(new Uint8Array(0)), send(new Uint8Array(13)), send(long)]).toEqual([true, true, true]);
  one.send(two.mac, [1], BROADCAST);
  const gone: Frame = {
    length: 60,
    pieces: 1,
    offload: NO_OFFLOAD,
    memory: () => ({ bytes: new Uint8Array(0), data: new DataView(new ArrayBuffer(0)) }),
    offset: () => 0,
    size: () => 60,
  };
  one.port.send(gone);
  expect(one.port.counters.drops).toEqual({ short: 2, long: 1, "bad-source": 1, gone: 1 });
  expect([two.take(), three.take()]).toEqual([[], []]);
});

test("does not give a device what it can't take", () => {
  const { one, two } = network();
  two.send(BROADCAST);
  const unsummed = { ...NO_OFFLOAD, needsChecksum: true, checksumStart: 14, checksumOffset: 2 };
  const large = { ...NO_OFFLOAD, segmentation: "tcp4" as const, segmentSize: 1460 };
  one.send(two.mac, [1], one.mac, unsummed);
  one.send(two.mac, [2], one.mac, large);
  expect([two.take(), two.port.counters.drops]).toEqual([[], { offload: 2 }]);
  two.accepts = { checksum: true, segmentation: ["tcp4"] };
  one.send(two.mac, [1], one.mac, unsummed);
  one.send(two.mac, [2], one.mac, large);
  expect(two.take()).toEqual([[1], [2]]);
});

test("a frame to oneself goes nowhere", () => {
  const { one, two } = network();
  one.send(BROADCAST);
  two.take();
  one.send(one.mac);
  expect([one.take(), two.take()]).toEqual([[], []]);
});

test("a loopback gives back what was sent, waits for room, and finishes what its device can't take", () => {
  const station = new Station(new Loopback(), 1);
  station.room = 1;
  expect([station.send(mac(2), [1]), station.send(mac(2), [2])]).toEqual([true, false]);
  let asked = 0;
  station.port.onRoom(() => asked++);
  station.makeRoom(1);
  station.makeRoom(1);
  expect([asked, station.send(mac(2), [2]), station.take()]).toEqual([1, true, [[1], [2]]]);
  station.makeRoom(9);
  station.send(mac(2), [3, 0, 0], station.mac, { ...NO_OFFLOAD, needsChecksum: true, checksumStart: 14, checksumOffset: 1 });
  station.send(mac(2), [3], station.mac, { ...NO_OFFLOAD, needsChecksum: true, checksumStart: 14, checksumOffset: 0 });
  station.port[Symbol.dispose]();
  station.send(mac(2), [4]);
  expect([station.take(), station.port.counters.drops]).toEqual([[[3, 0xfc, 0xff]], { offload: 1, unplugged: 1 }]);
});
