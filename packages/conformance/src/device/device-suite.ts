/**
 * What every virtio device must do, as vitest tests: driven by a guest's driver on split and on packed rings, an honest one and one that
 * means harm.
 *
 * @module
 */
import {
  DeviceStatus,
  type DeviceSurroundings,
  FeatureSet,
  isQueueSize,
  Register,
  VirtioError,
  VirtioFeature,
  type VirtioPlugin,
} from "@virtspace/virtio";
import { describe, expect, test } from "vitest";
import type { PackedDriver } from "../virtio/packed-driver.ts";
import type { SplitDriver } from "../virtio/split-driver.ts";
import { DeviceTrial, type Offered, type Shape } from "./device-trial.ts";
import { turns } from "./event-loop.ts";
import { malformedPacked, malformedSplit } from "./malformed-chain.ts";

/** A buffer that a device answers. */
export interface DeviceRequest {
  /** The name of its queue; the first one unless given. */
  readonly queue?: string;
  /** What the device reads; nothing unless given. */
  readonly readable?: Uint8Array;
  /** Bytes that it may write; none unless given. */
  readonly writable?: number;
  /** Checks, with vitest's `expect`, what the device says it wrote; anything will do unless given. */
  readonly answer?: (written: Uint8Array) => void;
}

/** How the suite is run. */
export interface DeviceSuiteOptions {
  /** For the report; the plug-in's name unless given. */
  readonly name?: string;
  /** What is tested; a function makes one for each test, and what it needs around it. */
  readonly plugin: VirtioPlugin | (() => VirtioPlugin);
  /** Buffers that make sense to it. The suite has others that make none. */
  readonly requests?: readonly DeviceRequest[];
  /** Names of the queues whose buffers it keeps until it has something to say: those for what comes in. */
  readonly keeps?: readonly string[];
  /** Replaces what it is made with. */
  readonly surroundings?: Partial<DeviceSurroundings>;
  /** Turns of the event loop within which a buffer has to be back; 500 unless given. */
  readonly steps?: number;
  /** Whether something is left of it that is not in the guest's memory: a file, a timer, a place in a table. Asked when all are stopped. */
  readonly held?: () => boolean;
}

const LAYOUTS: readonly (readonly [name: string, bits: readonly number[]])[] = [
  ["split", []],
  ["split, event index", [VirtioFeature.RingEventIdx]],
  ["packed", [VirtioFeature.RingPacked]],
  ["packed, in order, event index", [VirtioFeature.RingPacked, VirtioFeature.InOrder, VirtioFeature.RingEventIdx]],
];

const SHAPES: readonly Shape[] = [
  { name: "in one piece" },
  { name: "in pieces", pieces: 7 },
  { name: "in a table", pieces: 40, table: true },
  { name: "across two regions", border: true },
];

/** The bits that belong to queues and transports: no device offers them for itself. */
const RESERVED = { from: 24, to: 49 } as const;

/** What makes no sense to most devices, and must hurt none: bytes to read, and room to write. */
const JUNK: readonly (readonly [readable: Uint8Array, writable: number])[] = [
  [new Uint8Array(1), 0],
  [new Uint8Array(0), 1],
  [new Uint8Array(16), 1],
  [new Uint8Array(64), 64],
  [new Uint8Array(64).fill(0xff), 64],
  [new Uint8Array(300).fill(0xff), 0],
  [new Uint8Array(0), 4096],
  ...Array.from({ length: 24 }, (_, seed): readonly [Uint8Array, number] => [noise(seed + 1, 1 + ((seed * 37) % 200)), (seed * 13) % 90]),
];

/** States that nobody saved. */
const NO_STATES: readonly unknown[] = [undefined, null, 0, -1, "x", true, [], [1, [2]], {}, { length: 2 ** 31 }, { a: { b: [null] } }];

/**
 * Registers the suite with vitest.
 *
 * @example
 * ```ts
 * import { deviceSuite } from "@virtspace/conformance";
 * import { expect } from "vitest";
 * import entropy from "./device.ts";
 *
 * deviceSuite({
 *   plugin: entropy,
 *   requests: [{ writable: 32, answer: (written) => expect(written).toHaveLength(32) }],
 * });
 * ```
 */
export function deviceSuite(options: DeviceSuiteOptions): void {
  const { plugin, requests = [], keeps = [], surroundings = {}, steps = 500, held } = options;
  const make = typeof plugin === "function" ? plugin : () => plugin;
  const name = options.name ?? (typeof plugin === "function" ? "made for each test" : plugin.name);
  const open = (): DeviceTrial => new DeviceTrial({ plugin: make(), surroundings, steps });

  /** The numbers of the queues that give back what they are given. */
  const answering = ({ device }: DeviceTrial): number[] =>
    [...device.queues.keys()].filter((i) => !keeps.includes(device.queues[i]?.name ?? ""));

  /** Gives the queues that keep their buffers some to keep. */
  function feed(trial: DeviceTrial): void {
    for (const queue of trial.device.queues.keys()) {
      if (answering(trial).includes(queue)) continue;
      for (let i = 0; i < 4; i++) trial.offer(queue, new Uint8Array(0), 4096, {} as Shape);
      trial.notify(queue);
    }
  }

  async function expectBack(trial: DeviceTrial, offered: readonly (Offered | undefined)[]): Promise<void> {
    const back = (): boolean => {
      trial.collect();
      return offered.every((each) => each === undefined || each.written !== undefined);
    };
    const inTime = await trial.until(back);
    expect(trial.failures, "what the device threw").toEqual([]);
    expect(inTime, `buffers are back within ${steps} turns of the event loop`).toBe(true);
    for (const each of offered) {
      if (each?.written === undefined) continue;
      const room = each.writable.reduce((sum, { length }) => sum + length, 0);
      expect(each.written, "bytes that it says it wrote").toBeLessThanOrEqual(room);
    }
  }

  async function ask(
    trial: DeviceTrial,
    { queue, readable = new Uint8Array(0), writable = 0, answer }: DeviceRequest,
    shape: Shape,
  ): Promise<void> {
    const index = queue === undefined ? 0 : trial.device.queues.findIndex((each) => each.name === queue);
    expect(index, `the queue "${queue}"`).toBeGreaterThanOrEqual(0);
    const offered = trial.offer(index, readable, writable, shape);
    expect(offered, "a free descriptor").toBeDefined();
    trial.notify(index);
    await expectBack(trial, [offered]);
    if (offered !== undefined) answer?.(trial.answer(offered));
  }

  /** It does what it is for. */
  async function expectWorking(trial: DeviceTrial): Promise<void> {
    feed(trial);
    for (const request of requests) await ask(trial, request, { name: "in one piece" });
    for (const queue of answering(trial)) {
      const offered = trial.offer(queue, new Uint8Array(16), 16, { name: "in one piece" });
      trial.notify(queue);
      await expectBack(trial, [offered]);
    }
  }

  /** Fills all rings. */
  function fill(trial: DeviceTrial): (Offered | undefined)[] {
    const offered: (Offered | undefined)[] = [];
    for (const queue of trial.device.queues.keys()) {
      for (let each: Offered | undefined, i = 0; i === 0 || each !== undefined; i++) {
        each = trial.offer(queue, i % 2 === 0 ? new Uint8Array(8) : new Uint8Array(0), 64, {} as Shape);
        if (each !== undefined) offered.push(each);
      }
    }
    for (const queue of trial.device.queues.keys()) trial.notify(queue);
    const given = answering(trial);
    return offered.filter((each) => each !== undefined && given.includes(each.queue));
  }

  describe(`device: ${name}`, () => {
    describe("says what it is", () => {
      test("with a type, queues and features of its own", async () => {
        await using trial = open();
        const { device } = trial;
        expect(device.name).not.toBe("");
        expect(Number.isInteger(device.type) && device.type > 0 && device.type < 0x1_0000).toBe(true);
        for (const { name: queue, size } of device.queues) {
          expect(queue).not.toBe("");
          expect(isQueueSize(size, false), `the size of "${queue}"`).toBe(true);
        }
        const reserved = Array.from({ length: RESERVED.to - RESERVED.from + 1 }, (_, i) => RESERVED.from + i);
        expect(
          reserved.filter((bit) => device.features.has(bit)),
          "features of queues and transports",
        ).toEqual([]);
        const names = device.queues.map((queue) => queue.name);
        for (const queue of keeps) expect(names).toContain(queue);
      });

      test("in a configuration that is read anyhow, and written by anybody", async () => {
        await using trial = open();
        const { config } = trial.device;
        for (const features of [FeatureSet.of(VirtioFeature.Version1), trial.features([])]) {
          trial.start(features);
          for (let at = 0; at < config.size + 8; at++) {
            for (const bytes of [1, 2, 4] as const) {
              const value = config.read(at, bytes);
              expect(Number.isInteger(value) && value >= 0 && value < 2 ** (8 * bytes), `${bytes} bytes at ${at}: ${value}`).toBe(true);
              config.write(at, bytes, 2 ** (8 * bytes) - 1);
              config.write(at, bytes, 0);
            }
          }
        }
        expect(trial.failures).toEqual([]);
      });
    });

    describe("negotiates", () => {
      test("all that it offers, or nothing but the version", async () => {
        await using trial = open();
        expect(trial.driver.negotiate(trial.driver.offered())).toBe(true);
        expect(trial.device.features.isSubsetOf(trial.driver.features)).toBe(true);
        trial.start(FeatureSet.of(VirtioFeature.Version1));
        expect(trial.driver.features.has(VirtioFeature.Version1)).toBe(true);
        expect(trial.failures).toEqual([]);
      });

      test("no feature that it does not offer, and no driver from before the standard", async () => {
        await using trial = open();
        const offered = trial.driver.offered();
        const unknown = Array.from({ length: 128 }, (_, bit) => bit).filter((bit) => !offered.has(bit));
        const bad = [...unknown.map((bit) => FeatureSet.of(VirtioFeature.Version1, bit)), FeatureSet.none];
        for (const features of bad) expect(accepts(trial, features)).toBe(false);
        expect(accepts(trial, FeatureSet.of(VirtioFeature.Version1))).toBe(true);
      });
    });

    describe.each(LAYOUTS)("on %s rings", (_layout, bits) => {
      const layout = [...bits];
      const packed = layout.includes(VirtioFeature.RingPacked);

      test.each(SHAPES)("answers what makes sense, $name", async (shape) => {
        await using trial = open();
        trial.start(trial.features(layout));
        feed(trial);
        for (const request of requests) await ask(trial, request, shape);
        expect(trial.canaryLives).toBe(true);
      });

      test.each(SHAPES)("gives back what makes none, $name", async (shape) => {
        await using trial = open();
        trial.start(trial.features(layout));
        feed(trial);
        for (const [readable, writable] of JUNK) {
          const offered = answering(trial).map((queue) => trial.offer(queue, readable, writable, shape));
          for (const queue of answering(trial)) trial.notify(queue);
          await expectBack(trial, offered);
        }
        expect([trial.canaryLives, trial.mmio.status & DeviceStatus.NeedsReset]).toEqual([true, 0]);
      });

      test("gives back full rings, again and again", async () => {
        await using trial = open();
        trial.start(trial.features(layout));
        for (let round = 0; round < 5; round++) await expectBack(trial, fill(trial));
      });

      test("hurts nobody with no feature of its own", async () => {
        await using trial = open();
        trial.start(FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, ...layout));
        // A queue that comes with a feature may lie still now.
        fill(trial);
        await turns(10);
        trial.collect();
        expect([trial.failures, trial.canaryLives, trial.mmio.status & DeviceStatus.NeedsReset]).toEqual([[], true, 0]);
        trial.start(trial.features(layout));
        await expectWorking(trial);
      });

      describe("reset in the middle of a batch", () => {
        test.each([0, 1, 2, 5])("after %d turns writes nothing from then on, and works anew", async (delay) => {
          await using trial = open();
          for (let round = 0; round < 3; round++) {
            trial.start(trial.features(layout));
            fill(trial);
            await turns(delay);
            trial.driver.write(Register.Status, 0);
            const before = trial.snapshot();
            await turns(10);
            expect(trial.changedSince(before), "where it wrote after the reset").toBeUndefined();
            expect([trial.mmio.status, trial.interrupt, trial.failures]).toEqual([0, false, []]);
          }
          trial.start(trial.features(layout));
          await expectWorking(trial);
        });
      });

      test("begins anew with each driver", async () => {
        await using trial = open();
        for (let round = 0; round < 10; round++) {
          trial.start(trial.features(layout));
          await expectWorking(trial);
        }
      });

      test("is saved and restored with what it has, which comes back once", async () => {
        await using trial = open();
        trial.start(trial.features(layout));
        for (let round = 0; round < 5; round++) {
          const offered = fill(trial);
          await turns(round);
          await trial.move();
          // A driver can't know that it was moved; notifications that were under way are lost, and the device looks by itself.
          await expectBack(trial, offered);
        }
        expect(trial.mmio.status & DeviceStatus.NeedsReset).toBe(0);
        trial.start(trial.features(layout));
        await expectWorking(trial);
      });

      describe("given what a driver must not give", () => {
        const rows = (packed ? malformedPacked : malformedSplit) as readonly (readonly [
          string,
          (ring: SplitDriver | PackedDriver) => void,
        ])[];
        test.each(rows)("%s: retires the queue, touches nothing, and works after a reset", async (_what, write) => {
          await using trial = open();
          for (const queue of trial.device.queues.keys()) {
            trial.start(trial.features(layout));
            write(trial.rings[queue] as SplitDriver | PackedDriver);
            trial.driver.notify(queue);
            const lost = (): boolean => trial.mmio.runner.queue(queue)?.fault !== undefined;
            if (answering(trial).includes(queue)) {
              expect(await trial.until(lost), `queue ${queue} is retired`).toBe(true);
              expect(trial.mmio.status & DeviceStatus.NeedsReset).not.toBe(0);
            } else {
              // It may not have looked.
              await turns(3);
            }
            expect([trial.failures, trial.canaryLives]).toEqual([[], true]);
          }
          trial.start(trial.features(layout));
          await expectWorking(trial);
        });
      });
    });

    test("refuses a state that is none, or makes the best of it", async () => {
      await using trial = open();
      trial.start(trial.features([]));
      const state = JSON.parse(JSON.stringify(trial.mmio.save()));
      for (const device of NO_STATES) {
        try {
          trial.mmio.restore({ ...state, device });
        } catch (error) {
          expect(VirtioError.is(error, "state-mismatch"), String(error)).toBe(true);
        }
        expect(trial.failures).toEqual([]);
      }
      trial.mmio.restore(state);
      trial.start(trial.features([]));
      await expectWorking(trial);
    });

    test.each([
      ["before a driver came", false, 0],
      ["with full rings", true, 0],
      ["while it works", true, 1],
      ["when it has worked", true, 20],
    ])("stopped %s leaves nothing", async (_when, started, delay) => {
      const trial = open();
      if (started) {
        trial.start(trial.features([]));
        fill(trial);
      }
      await turns(delay);
      await trial.stop();
      await trial.stop();
      const before = trial.snapshot();
      await turns(5);
      expect(trial.changedSince(before), "where it wrote after its end").toBeUndefined();
      using log = trial.space.dirtyLog("client");
      log.harvest();
      expect(log.harvest(), "windows that are open still").toEqual([]);
      log[Symbol.dispose]();
      trial.space[Symbol.dispose]();
      expect([trial.memory.released, trial.failures, held?.() ?? false]).toEqual([true, [], false]);
    });
  });
}

/** Whether the device agrees to features, offered or not. */
function accepts({ driver }: DeviceTrial, features: FeatureSet): boolean {
  const { Acknowledge, Driver, FeaturesOk } = DeviceStatus;
  driver.write(Register.Status, 0);
  driver.write(Register.Status, Acknowledge | Driver);
  for (const word of [0, 1, 2, 3]) {
    driver.write(Register.DriverFeaturesSel, word);
    driver.write(Register.DriverFeatures, features.word(word));
  }
  driver.write(Register.Status, Acknowledge | Driver | FeaturesOk);
  return (driver.read(Register.Status) & FeaturesOk) !== 0;
}

/** Bytes that look like chance, the same each time. */
function noise(seed: number, length: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 16;
  });
}
