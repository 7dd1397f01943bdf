import { MmioDriver } from "@virtspace/conformance";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { afterEach, describe, expect, test } from "vitest";
import {
  type Chain,
  ConfigBytes,
  type DeviceParts,
  DeviceStatus,
  type DeviceSurroundings,
  defaultRandom,
  defineDevice,
  FeatureSet,
  InterruptReason,
  VirtioDeviceType,
  VirtioError,
  VirtioFeature,
  VirtioMmio,
  type VirtioPlugin,
} from "../index.ts";

const BASE = gpa(0xd000_0000);
const BUFFER = gpa(0x2_0000);
const messages: string[] = [];
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: (message: string) => void messages.push(message) };
const around: DeviceSurroundings = { machine: "guest", random: (bytes) => bytes.fill(7), log };
const spaces: VirtAddressSpace[] = [];

afterEach(() => {
  for (const space of spaces.splice(0)) space[Symbol.dispose]();
  messages.length = 0;
});

function machineWith(plugin: VirtioPlugin): { space: VirtAddressSpace; mmio: VirtioMmio; driver: MmioDriver } {
  const space = VirtAddressSpace.create({ name: "guest" });
  spaces.push(space);
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const mmio = new VirtioMmio({ space, base: BASE, device: plugin.create(around), interrupt: () => {}, log });
  const driver = new MmioDriver(space, BASE);
  driver.negotiate(FeatureSet.of(VirtioFeature.Version1));
  return { space, mmio, driver };
}

const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

const parts = (start: DeviceParts<"requests">["start"]): DeviceParts<"requests"> => ({
  type: VirtioDeviceType.Entropy,
  queues: [{ name: "requests", size: 8 }],
  start,
});

describe("a defined device", () => {
  test("serves its queues by name", async () => {
    const { space, driver } = machineWith(
      defineDevice({ name: "entropy", ...parts(({ queues, random }) => queues.requests.serve((chain) => chain.fill(random))) }),
    );
    const ring = driver.startQueue(0, gpa(0x1_0000));
    driver.ready();
    ring.add([], [{ address: BUFFER, length: 4 }]);
    ring.publish();
    driver.notify(0);
    await turns();
    expect(ring.used()).toEqual({ id: 0, written: 4 });
    expect(space.readU32(BUFFER)).toBe(0x0707_0707);
  });

  test("undoes at reset what its start did, and starts anew with the next driver", async () => {
    const said: string[] = [];
    const { driver } = machineWith(
      defineDevice({
        name: "timer",
        ...parts(() => {
          said.push("start");
          return () => void said.push("undo");
        }),
      }),
    );
    driver.startQueue(0, gpa(0x1_0000));
    driver.ready();
    driver.negotiate(FeatureSet.of(VirtioFeature.Version1)); // begins with a reset
    expect(said).toEqual(["start", "undo"]);
    driver.startQueue(0, gpa(0x1_0000));
    driver.ready();
    expect(said).toEqual(["start", "undo", "start"]);
  });

  test("can say that it needs a reset, which the driver is told, and goes on after one", () => {
    let giveUp = (): void => {};
    const { driver, mmio } = machineWith(
      defineDevice({
        name: "tired",
        ...parts(({ needReset }) => {
          giveUp = needReset;
        }),
      }),
    );
    driver.ready();
    expect(mmio.status & DeviceStatus.NeedsReset).toBe(0);
    giveUp();
    expect([mmio.status & DeviceStatus.NeedsReset, driver.acknowledge()]).toEqual([DeviceStatus.NeedsReset, InterruptReason.ConfigChange]);
    driver.negotiate(FeatureSet.of(VirtioFeature.Version1));
    driver.ready();
    expect(mmio.status & DeviceStatus.NeedsReset).toBe(0);
  });

  test("has parts of its own in each machine, and closes them when it leaves", async () => {
    const open: string[] = [];
    let made = 0;
    const plugin = defineDevice({
      name: "counter",
      create: ({ machine }) => {
        const mine = `${machine} ${++made}`;
        open.push(mine);
        return { ...parts(() => {}), config: new ConfigBytes(4), stop: () => void open.splice(open.indexOf(mine), 1) };
      },
    });
    const [first, second] = [plugin.create(around), plugin.create(around)];
    expect(first.config).not.toBe(second.config);
    expect(open).toEqual(["guest 1", "guest 2"]);
    await (first as unknown as AsyncDisposable)[Symbol.asyncDispose]();
    await (first as unknown as AsyncDisposable)[Symbol.asyncDispose]();
    expect(open).toEqual(["guest 2"]);
  });

  test("saves and restores by its parts, and resumes a queue that had no room", async () => {
    let room = false;
    let state = 1;
    let resume = (): void => {};
    const plugin = defineDevice({
      name: "slow",
      create: () => ({
        ...parts(({ queues }) => {
          queues.requests.serve((_chain: Chain) => room);
          resume = () => queues.requests.resume();
        }),
        save: () => state,
        restore: (saved) => {
          state = Number(saved);
        },
      }),
    });
    const { driver, mmio } = machineWith(plugin);
    const ring = driver.startQueue(0, gpa(0x1_0000));
    driver.ready();
    ring.add([], [{ address: BUFFER, length: 4 }]);
    ring.publish();
    driver.notify(0);
    await turns();
    expect(ring.used()).toBeUndefined();
    room = true;
    resume();
    await turns();
    expect(ring.used()).toEqual({ id: 0, written: 0 });
    mmio.runner.device.restore?.(5);
    expect(mmio.runner.device.save?.()).toBe(5);
  });

  test.for(["start", "serve"] as const)("that throws in %s is named, and leaves the machine as it is", async (where) => {
    const { driver, mmio } = machineWith(
      defineDevice({
        name: "broken",
        ...parts(({ queues }) => {
          if (where === "start") throw new Error("no");
          queues.requests.serve(() => {
            throw new Error("no");
          });
        }),
      }),
    );
    const ring = driver.startQueue(0, gpa(0x1_0000));
    driver.ready();
    ring.add([], [{ address: BUFFER, length: 4 }]);
    ring.publish();
    driver.notify(0);
    await turns();
    expect(messages).toEqual([where === "start" ? "broken failed in start" : "broken failed in queue 0"]);
    expect(mmio.status & 128).toBe(0);
  });

  test("whose stop fails is named where nobody waits for it", async () => {
    const plugin = defineDevice({
      name: "sticky",
      ...parts(() => {}),
      stop: async () => {
        throw new Error("no");
      },
    });
    (plugin.create(around) as unknown as Disposable)[Symbol.dispose]();
    await turns();
    expect(messages).toEqual(["sticky failed in stop"]);
  });
});

test.for<[string, unknown, string]>([
  ["no name", { ...parts(() => {}) }, "a device is no device: it has no name: give name"],
  ["no type", { name: "x", ...parts(() => {}), type: 0 }, "x is no device: its type is 0: give a number of VirtioDeviceType"],
  ["no queues", { name: "x", type: 4, start: () => {} }, 'x is no device: it has no queues: give queues: [{ name: "requests", size: 64 }]'],
  [
    "two queues of a name",
    {
      name: "x",
      type: 4,
      queues: [
        { name: "a", size: 8 },
        { name: "a", size: 8 },
      ],
      start: () => {},
    },
    'x is no device: a queue is named "a": give each a name of its own',
  ],
  [
    "a queue of 7",
    { name: "x", type: 4, queues: [{ name: "a", size: 7 }], start: () => {} },
    'x is no device: its queue "a" has 7 descriptors: give a power of two, at most 32768',
  ],
  ["no start", { name: "x", type: 4, queues: [] }, "x is no device: it can't start: give start"],
])("what has %s is refused with the remedy", ([, given, message]) => {
  let thrown: unknown;
  try {
    defineDevice(given as never);
  } catch (error) {
    thrown = error;
  }
  expect(VirtioError.is(thrown, "invalid-argument")).toBe(true);
  expect((thrown as Error).message).toBe(message);
});

test("a create that gives nothing is refused when it is called", () => {
  const plugin = defineDevice({ name: "x", create: () => undefined as never });
  expect(() => plugin.create(around)).toThrow("x is no device: its create returns nothing: return its parts");
});

test("chance fills memory of threads, and more than the host gives at once", () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(200_000));
  defaultRandom(bytes);
  const kinds = new Set(bytes.subarray(-1000));
  expect(kinds.size).toBeGreaterThan(100);
});
