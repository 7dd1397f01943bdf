import { fc, test as prop } from "@fast-check/vitest";
import { gpa } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import { type Chain, FeatureSet, VirtioFeature } from "../index.ts";
import { BORDER, BUFFERS, kinds, QueueTrial, RING, range, TABLES } from "./queue-scenarios.ts";

describe.each(kinds)("%s", (_, features) => {
  const inOrder = features.has(VirtioFeature.InOrder);

  prop.prop(
    [
      fc.array(
        fc.record({
          readable: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 3 }),
          writable: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 3 }),
          indirect: fc.boolean(),
          /** Which of those in flight is given back after this one was offered. */
          pick: fc.nat(),
          publish: fc.boolean(),
        }),
        { minLength: 1, maxLength: 60 },
      ),
    ],
    { numRuns: 150 },
  )("carries buffers of any shape, gives each back once, and never mixes them up", (steps) => {
    using trial = new QueueTrial(features, 8);
    const { driver, queue, space } = trial;
    const offered = new Map<number, { seed: number; readable: number; writable: number; at: number }>();
    const held: Chain[] = [];
    let next = 0;
    let back = 0;

    const takeAll = (): void => {
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
        const buffer = offered.get(chain.id);
        expect(buffer).toBeDefined();
        const bytes = new Uint8Array(chain.readableBytes);
        expect(chain.copyFrom(0, bytes)).toBe(0);
        expect([bytes.length, chain.writableBytes]).toEqual([buffer?.readable, buffer?.writable]);
        expect(bytes.every((byte) => byte === buffer?.seed)).toBe(true);
        held.push(chain);
      }
    };
    const giveBack = (pick: number): void => {
      const [chain] = held.splice(pick % held.length, 1) as [Chain];
      const { seed } = offered.get(chain.id) as { seed: number };
      expect(chain.copyTo(0, new Uint8Array(chain.writableBytes).fill(seed ^ 0xff))).toBe(0);
      queue.push(chain);
    };
    const collect = (): void => {
      queue.flush();
      for (let used = driver.used(); used !== undefined; used = driver.used()) {
        const buffer = offered.get(used.id);
        expect(used.written).toBe(buffer?.writable);
        const { at = 0, seed = 0, writable = 0 } = buffer ?? {};
        const bytes = new Uint8Array(writable);
        space.copyFrom(gpa(at), bytes);
        expect(bytes.every((byte) => byte === (seed ^ 0xff))).toBe(true);
        offered.delete(used.id);
        back++;
      }
    };

    for (const { readable, writable, indirect, pick, publish } of steps) {
      const slot = next % 64;
      const seed = next & 0xff;
      let at = BUFFERS + slot * 4096;
      const lay = (lengths: readonly number[]) =>
        lengths.map((length) => {
          const piece = trial.fill(range(at, length), seed);
          at += length;
          return piece;
        });
      const first = lay(readable);
      const writableAt = at;
      const second = lay(writable);
      const id = driver.add(first, second, indirect ? { table: gpa(TABLES + slot * 4096) } : {});
      if (id !== undefined) {
        const sum = (lengths: readonly number[]): number => lengths.reduce((a, b) => a + b, 0);
        offered.set(id, { seed, readable: sum(readable), writable: sum(writable), at: writableAt });
        next++;
      }
      if (publish || id === undefined) {
        driver.publish();
        takeAll();
      }
      if (held.length > 0 && pick % 3 !== 0) giveBack(pick);
      if (pick % 2 === 0) collect();
    }
    driver.publish();
    takeAll();
    while (held.length > 0) giveBack(inOrder ? 0 : held.length - 1);
    collect();
    expect([back, offered.size, queue.inFlight, trial.faults]).toEqual([next, 0, 0, []]);
  });

  test("serves many laps by notifications that are asked for, and loses none", () => {
    using trial = new QueueTrial(features, 16);
    const { driver, queue } = trial;
    let served = 0;
    queue.serve(
      (chain) => {
        served++;
        chain.fill((bytes) => bytes.fill(7));
      },
      { budget: 5 },
    );
    while (trial.turn());
    let offered = 0;
    let kicks = 0;
    let taken = 0;
    for (let round = 0; round < 500; round++) {
      for (let i = 0; i <= round % 4; i++) if (driver.add([], [range(BUFFERS + 64 * (offered % 64), 64)]) !== undefined) offered++;
      if (driver.publish()) {
        kicks++;
        queue.kick();
      }
      // Interrupts are asked for, then the ring is looked at once more: as a driver does it.
      while (trial.turn());
      driver.wantInterrupts(false);
      do for (let used = driver.used(); used !== undefined; used = driver.used()) taken++;
      while (driver.wantInterrupts(true));
    }
    expect([served, taken, trial.faults]).toEqual([offered, offered, []]);
    expect(offered).toBeGreaterThan(1000);
    expect(kicks).toBeGreaterThan(0);
    expect(kicks).toBeLessThanOrEqual(500);
  });

  test("interrupts once for a batch, and not at all where the driver does not want it", () => {
    using trial = new QueueTrial(features);
    const { driver, queue } = trial;
    const batch = (): void => {
      for (let i = 0; i < 4; i++) driver.add([range(BUFFERS + i * 64, 8)], []);
      driver.publish();
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.push(chain);
      queue.flush();
      queue.flush();
      for (let used = driver.used(); used !== undefined; used = driver.used());
    };
    driver.wantInterrupts(true);
    batch();
    expect(trial.interrupts).toBe(1);
    driver.wantInterrupts(false);
    batch();
    expect(trial.interrupts).toBe(1);
    driver.wantInterrupts(true);
    batch();
    expect(trial.interrupts).toBe(2);
  });

  test("goes on where it was stopped, with what was in flight, over the same memory", () => {
    using trial = new QueueTrial(features, 8);
    const { driver } = trial;
    const lap = (count: number): void => {
      for (let i = 0; i < count; i++) driver.add([range(BUFFERS + i * 64, 8)], [range(BUFFERS + i * 64 + 8, 8)]);
      driver.publish();
      for (let chain = trial.queue.pop(); chain !== undefined; chain = trial.queue.pop()) trial.queue.push(chain, 1);
      trial.queue.flush();
      for (let used = driver.used(); used !== undefined; used = driver.used());
    };
    lap(3);
    lap(3);
    const ids = [0, 1, 2].map((i) => driver.add([trial.fill(range(BUFFERS + i * 64, 8), i + 1)], [range(BUFFERS + i * 64 + 8, 8)]));
    driver.publish();
    const [first, second] = [trial.queue.pop(), trial.queue.pop()];
    expect([first?.id, second?.id]).toEqual([ids[0], ids[1]]);
    // The later one is done first, which overwrites a descriptor of the earlier one in a packed ring.
    second?.push(8);
    const state = JSON.parse(JSON.stringify(trial.queue.stop()));
    expect(trial.queue.pop()).toBeUndefined();
    first?.push(8);

    trial.open(state);
    const seen: [number, number][] = [];
    for (let chain = trial.queue.pop(); chain !== undefined; chain = trial.queue.pop()) {
      const bytes = new Uint8Array(1);
      chain.copyFrom(0, bytes);
      seen.push([chain.id, bytes[0] as number]);
      trial.queue.push(chain, 8);
    }
    trial.queue.flush();
    const back: number[] = [];
    for (let used = driver.used(); used !== undefined; used = driver.used()) back.push(used.id);
    expect(seen).toEqual([
      [ids[0], 1],
      [ids[2], 3],
    ]);
    expect(back.toSorted()).toEqual(ids.toSorted());
    expect(trial.queue.inFlight).toBe(0);
    lap(4);
    expect(trial.faults).toEqual([]);
  });

  test("reaches a buffer that is one for the guest and two for us", () => {
    using trial = new QueueTrial(features);
    const { driver, queue, space } = trial;
    driver.add([trial.fill(range(BORDER - 3, 8), 9)], [range(BORDER + 4096 - 4, 8)]);
    driver.publish();
    const chain = queue.pop() as Chain;
    const bytes = new Uint8Array(8);
    expect([chain.pieces, chain.readablePieces, chain.copyFrom(0, bytes)]).toEqual([3, 2, 0]);
    expect([...bytes]).toEqual(new Array(8).fill(9));
    expect(chain.copyTo(2, Uint8Array.of(1, 2, 3, 4, 5, 6, 7))).toBe(1);
    expect([chain.written, space.readU8(gpa(BORDER + 4096 - 2))]).toEqual([8, 1]);
  });

  test("keeps its place when the memory of its rings is replaced under it, and stops when it is gone", () => {
    using trial = new QueueTrial(features);
    const { driver, queue, space } = trial;
    const echo = (): number => {
      driver.add([range(BUFFERS, 8)], []);
      driver.publish();
      let count = 0;
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
        queue.push(chain);
        count++;
      }
      queue.flush();
      for (let used = driver.used(); used !== undefined; used = driver.used());
      return count;
    };
    expect(echo()).toBe(1);
    const low = space.regions[0] as (typeof space.regions)[0];
    // The same memory at the same address, by other regions: as a vhost-user front-end replaces its memory table.
    space.transaction((change) => {
      const memory = low.memory as NonNullable<typeof low.memory>;
      change.unmap(low);
      change.map({ name: "lower half", base: gpa(0), memory, size: memory.size / 2 });
      change.map({ name: "upper half", base: gpa(memory.size / 2), memory, offset: memory.size / 2 });
    });
    expect([echo(), echo(), trial.faults]).toEqual([1, 1, []]);
    driver.add([range(BUFFERS, 8)], []);
    driver.publish();
    const chain = queue.pop();
    space.transaction((change) => {
      for (const region of space.regions.filter(({ kind }) => kind === "ram")) change.unmap(region);
    });
    expect(() => chain?.push()).not.toThrow();
    expect(queue.pop()).toBeUndefined();
    queue.flush();
    expect(trial.faults).toEqual([{ code: "ring-gone", queue: 0, value: expect.any(Number) }]);
    expect([queue.running, trial.interrupts]).toEqual([false, expect.any(Number)]);
  });

  test("marks what it writes, and no more, in a dirty log", () => {
    using trial = new QueueTrial(features);
    const { driver, queue, space } = trial;
    driver.add([range(BUFFERS, 64)], [range(BUFFERS + 0x3000, 16)]);
    driver.publish();
    using log = space.dirtyLog("migration");
    log.harvest();
    const chain = queue.pop() as Chain;
    chain.copyTo(0, new Uint8Array(16));
    chain.push();
    queue.flush();
    const pages = log.harvest().flatMap(({ address, length }) => Array.from({ length: length / 4096 }, (_, i) => address / 4096 + i));
    expect(pages).toContain((BUFFERS + 0x3000) / 4096);
    expect(pages).toContain(RING / 4096);
    expect(pages).toHaveLength(2);
  });
});

test("a handler that throws is reported, its buffer given back, and the next one served", () => {
  using trial = new QueueTrial(FeatureSet.of(VirtioFeature.Version1));
  const { driver, queue } = trial;
  let served = 0;
  queue.serve(() => {
    served++;
    if (served === 1) throw new Error("a bug");
  });
  for (let i = 0; i < 3; i++) driver.add([range(BUFFERS, 8)], []);
  driver.publish();
  queue.kick();
  let back = 0;
  for (let used = driver.used(); used !== undefined; used = driver.used()) back++;
  expect([served, back, trial.failures, trial.faults]).toEqual([3, 3, [new Error("a bug")], []]);
});

test("a chain that is held stays the device's, keeps its memory, and interrupts when it is given back", async () => {
  using trial = new QueueTrial(FeatureSet.of(VirtioFeature.Version1));
  const { driver, queue, space } = trial;
  const held: Chain[] = [];
  queue.serve((chain) => {
    chain.hold();
    held.push(chain);
  });
  driver.add([], [range(BORDER, 8)]);
  driver.publish();
  queue.kick();
  expect([held.length, driver.used(), queue.inFlight]).toEqual([1, undefined, 1]);
  const high = space.regions[1] as (typeof space.regions)[1];
  let unmapped = false;
  const done = space.unmap(high).then(() => {
    unmapped = true;
  });
  await Promise.resolve();
  const [chain] = held as [Chain];
  expect([unmapped, chain.copyTo(0, new Uint8Array(8))]).toEqual([false, 0]);
  chain.push();
  await done;
  expect([driver.used()?.written, trial.interrupts, queue.inFlight]).toEqual([8, 1, 0]);
  expect(() => chain.push()).toThrow(expect.objectContaining({ code: "not-in-flight" }));
});

test("chains copy from one to the other, guest memory to guest memory, whatever their pieces", () => {
  using from = new QueueTrial(FeatureSet.of(VirtioFeature.Version1));
  using to = new QueueTrial(FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingPacked));
  for (let i = 0; i < 300; i++) from.space.writeU8(gpa(BUFFERS + i), i & 0xff);
  from.driver.add([range(BUFFERS, 100), range(BUFFERS + 100, 7), range(BUFFERS + 107, 193)], []);
  to.driver.add([], [range(BUFFERS, 12), range(BUFFERS + 12, 250)]);
  from.driver.publish();
  to.driver.publish();
  const [source, target] = [from.queue.pop() as Chain, to.queue.pop() as Chain];
  expect(target.copyChain(12, source, 10, 400)).toBe(400 - 250);
  expect([target.written, to.space.readU8(gpa(BUFFERS + 12)), to.space.readU8(gpa(BUFFERS + 12 + 249))]).toEqual([262, 10, 259 & 0xff]);
});
