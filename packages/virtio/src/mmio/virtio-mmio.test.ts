/** A device behind registers, driven as a kernel drives it, and as none should. */
import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";
import {
  type Chain,
  ConfigBytes,
  type DeviceContext,
  DeviceStatus,
  FeatureSet,
  InterruptReason,
  type Logger,
  type QueueState,
  Register,
  type VirtioDevice,
  VirtioDeviceType,
  VirtioFeature,
  VirtioMmio,
  type Virtqueue,
} from "../index.ts";

const BASE = gpa(0xd000_0000);
const RINGS = [gpa(0x1_0000), gpa(0x2_0000)] as const;
const BUFFERS = 0x10_0000;
const FEATURE = 5;
const WANTED = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingEventIdx, VirtioFeature.RingIndirectDesc, FEATURE);

/** Gives back what it reads in capitals; its second queue keeps what it gets. */
class Shouter implements VirtioDevice {
  readonly name = "shouter";
  readonly type = VirtioDeviceType.Console;
  readonly features = FeatureSet.of(FEATURE, 64);
  readonly queues = [
    { name: "shout", size: 64 },
    { name: "keep", size: 16 },
  ];
  readonly config = new ConfigBytes(8, [{ offset: 4, size: 2 }]);
  readonly calls: string[] = [];
  context: DeviceContext | undefined;
  kept: Chain[] = [];
  shouted = 0;
  readonly #running = new Map<number, Virtqueue>();

  start(context: DeviceContext): void {
    this.calls.push("start");
    this.context = context;
  }

  startQueue(index: number, queue: Virtqueue): void {
    this.calls.push(`start ${index}`);
    this.#running.set(index, queue);
    queue.serve(index === 0 ? (chain) => this.#shout(chain) : (chain) => this.#keep(chain));
  }

  stopQueue(index: number): QueueState {
    this.calls.push(`stop ${index}`);
    const queue = this.#running.get(index) as Virtqueue;
    this.#running.delete(index);
    return queue.stop();
  }

  reset(): void {
    this.calls.push("reset");
    this.kept = [];
  }

  save(): unknown {
    return { shouted: this.shouted };
  }

  restore(state: unknown): void {
    const { shouted } = (state ?? {}) as { shouted?: unknown };
    if (typeof shouted !== "number") throw new Error("no count");
    this.shouted = shouted;
  }

  #shout(chain: Chain): void {
    const text = new Uint8Array(chain.readableBytes);
    chain.copyFrom(0, text);
    chain.copyTo(0, new TextEncoder().encode(new TextDecoder().decode(text).toUpperCase()));
    this.shouted++;
  }

  #keep(chain: Chain): void {
    chain.hold();
    this.kept.push(chain);
  }
}

class Machine implements Disposable {
  readonly space: VirtAddressSpace;
  readonly device = new Shouter();
  readonly levels: boolean[] = [];
  readonly logged: string[] = [];
  readonly mmio: VirtioMmio;
  readonly driver: MmioDriver;
  #at = 0;

  constructor(space?: VirtAddressSpace) {
    this.space = space ?? VirtAddressSpace.create({ name: "guest" });
    if (space === undefined) this.space.map({ name: "ram", base: gpa(0), memory: sharedMemory(4 * MiB) });
    const say = (message: string): void => void this.logged.push(message);
    const log: Logger = { debug: say, info: say, warn: say, error: say };
    const { device } = this;
    this.mmio = new VirtioMmio({ space: this.space, base: BASE, device, interrupt: (level) => void this.levels.push(level), log });
    this.driver = new MmioDriver(this.space, BASE);
  }

  /** Brings the device up. */
  up(wanted: FeatureSet = WANTED): [RingDriver, RingDriver] {
    expect(this.driver.negotiate(wanted)).toBe(true);
    const rings = RINGS.map((base, index) => this.driver.startQueue(index, base, 16)) as [RingDriver, RingDriver];
    this.driver.ready();
    for (const ring of rings) ring.wantInterrupts(true);
    return rings;
  }

  async shout(ring: RingDriver, text: string): Promise<string> {
    const at = BUFFERS + (this.#at++ % 16) * 256;
    const bytes = new TextEncoder().encode(text);
    this.space.copyTo(gpa(at), bytes);
    ring.add([{ address: gpa(at), length: bytes.length }], [{ address: gpa(at + 128), length: 128 }]);
    if (ring.publish()) this.driver.notify(0);
    await later();
    const used = ring.used();
    const answer = new Uint8Array(used?.written ?? 0);
    this.space.copyFrom(gpa(at + 128), answer);
    return new TextDecoder().decode(answer);
  }

  [Symbol.dispose](): void {
    this.mmio[Symbol.dispose]();
    this.space[Symbol.dispose]();
  }
}

const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe("a driver that does as it should", () => {
  test.each([
    ["split", WANTED],
    ["packed", WANTED.or(FeatureSet.of(VirtioFeature.RingPacked))],
  ])("is served on %s queues, by a line that rises and falls", async (_, wanted) => {
    using machine = new Machine();
    const { driver } = machine;
    expect([driver.read(Register.MagicValue), driver.read(Register.Version), driver.read(Register.DeviceId)]).toEqual([0x74726976, 2, 3]);
    const [shout] = machine.up(wanted);
    expect([...(machine.device.context?.features ?? [])]).toEqual([...wanted]);
    expect(await machine.shout(shout, "hello")).toBe("HELLO");
    expect([machine.levels, driver.acknowledge(), machine.levels]).toEqual([[true, false], InterruptReason.UsedBuffer, [true, false]]);
    for (let i = 0; i < 50; i++) expect(await machine.shout(shout, `round ${i}`)).toBe(`ROUND ${i}`);
    expect(machine.logged).toEqual([]);
  });

  test("rings doorbells, so that a hypervisor can wire them, and they go with their queues", () => {
    using machine = new Machine();
    machine.up();
    expect(machine.space.doorbells.map(({ address, datamatch }) => [address, datamatch])).toEqual([
      [BASE + 0x50, 0n],
      [BASE + 0x50, 1n],
    ]);
    machine.driver.write(Register.Status, 0);
    expect([machine.space.doorbells, machine.device.calls.slice(-3)]).toEqual([[], ["stop 0", "stop 1", "reset"]]);
  });

  test("reads features past bit 63, and its configuration with a generation", () => {
    using machine = new Machine();
    const { device, driver, space } = machine;
    expect([driver.offered().has(64), driver.offered().has(65)]).toEqual([true, false]);
    machine.up();
    const generation = driver.read(Register.ConfigGeneration);
    device.config.data.setUint32(0, 0x1234_5678, true);
    device.context?.configChanged();
    expect(driver.read(Register.ConfigGeneration)).toBe(generation + 1);
    expect(driver.acknowledge()).toBe(InterruptReason.ConfigChange);
    expect([space.readU32(gpa(BASE + 0x100)), space.readU16(gpa(BASE + 0x102)), space.readU8(gpa(BASE + 0x103))]).toEqual([
      0x1234_5678, 0x1234, 0x12,
    ]);
    space.writeU16(gpa(BASE + 0x104), 0xabcd);
    space.writeU16(gpa(BASE + 0x106), 0xabcd);
    space.writeU32(gpa(BASE + 0x100), 0);
    expect([device.config.data.getUint32(0, true), device.config.data.getUint32(4, true)]).toEqual([0x1234_5678, 0xabcd]);
    expect(space.readU32(gpa(BASE + 0x1f0))).toBe(0);
  });

  test("resets one queue and leaves the other running", async () => {
    using machine = new Machine();
    const { driver } = machine;
    const [shout] = machine.up(WANTED.or(FeatureSet.of(VirtioFeature.RingReset)));
    driver.write(Register.QueueSel, 1);
    driver.write(Register.QueueReset, 1);
    expect([driver.read(Register.QueueReset), driver.read(Register.QueueReady), machine.device.calls.at(-1)]).toEqual([0, 0, "stop 1"]);
    expect(await machine.shout(shout, "still")).toBe("STILL");
    driver.startQueue(1, RINGS[1], 16);
    expect([driver.read(Register.QueueReady), machine.device.calls.at(-1)]).toEqual([1, "start 1"]);
  });
});

describe("a driver that does not", () => {
  test("can't have features that were not offered, nor do without version 1", () => {
    using machine = new Machine();
    const { driver } = machine;
    for (const word of [FeatureSet.of(VirtioFeature.Version1, 7), FeatureSet.of(FEATURE)]) {
      driver.write(Register.Status, 0);
      driver.write(Register.Status, 3);
      for (const i of [0, 1]) {
        driver.write(Register.DriverFeaturesSel, i);
        driver.write(Register.DriverFeatures, word.word(i));
      }
      driver.write(Register.Status, 3 | DeviceStatus.FeaturesOk);
      expect(driver.read(Register.Status) & DeviceStatus.FeaturesOk).toBe(0);
      driver.write(Register.Status, 3 | DeviceStatus.DriverOk);
      expect([driver.read(Register.Status) & DeviceStatus.DriverOk, machine.device.calls.includes("start")]).toEqual([0, false]);
    }
  });

  test("can't change features, sizes or places once they are settled (CVE-2026-5747)", () => {
    using machine = new Machine();
    const { driver } = machine;
    machine.up();
    driver.write(Register.DriverFeaturesSel, 0);
    driver.write(Register.DriverFeatures, 0);
    driver.write(Register.QueueSel, 0);
    driver.write(Register.QueueSize, 8);
    driver.write(Register.QueueDescLow, 0x1234);
    expect([machine.mmio.runner.queue(0)?.size, machine.mmio.runner.features.has(FEATURE)]).toEqual([16, true]);
    driver.write(Register.QueueReady, 1);
    expect(machine.device.calls.filter((call) => call === "start 0")).toHaveLength(1);
  });

  test("gets nothing from a queue that is not there, or of a size that none has", () => {
    using machine = new Machine();
    const { driver } = machine;
    driver.negotiate(WANTED);
    for (const index of [2, 0xffff_ffff]) {
      driver.write(Register.QueueSel, index);
      for (const register of [Register.QueueSize, Register.QueueReady, Register.QueueReset, Register.QueueDescHigh])
        driver.write(register, 1);
      expect([driver.read(Register.QueueSizeMax), driver.read(Register.QueueReady)]).toEqual([0, 0]);
    }
    driver.write(Register.QueueSel, 0);
    for (const size of [0, 3, 65, 0xffff_ffff]) {
      driver.write(Register.QueueSize, size);
      driver.write(Register.QueueReady, 1);
      expect(driver.read(Register.QueueReady)).toBe(0);
    }
    driver.ready();
    driver.notify(0);
    driver.notify(77);
    expect([machine.device.calls, machine.logged]).toEqual([["start"], []]);
  });

  test("that makes a queue live before the features are settled is passed over", () => {
    using machine = new Machine();
    machine.driver.write(Register.QueueSize, 16);
    machine.driver.write(Register.QueueReady, 1);
    expect(machine.driver.read(Register.QueueReady)).toBe(0);
  });

  test("whose ring is in a hole hears that the device needs a reset, and a reset mends it", async () => {
    using machine = new Machine();
    const { driver } = machine;
    driver.negotiate(WANTED);
    driver.write(Register.QueueSel, 0);
    driver.write(Register.QueueSize, 16);
    driver.write(Register.QueueDescHigh, 0x7777);
    driver.write(Register.QueueReady, 1);
    driver.ready();
    expect(driver.read(Register.Status) & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
    expect(driver.acknowledge()).toBe(InterruptReason.ConfigChange);
    expect(machine.logged).toHaveLength(1);
    const [shout] = machine.up();
    expect(await machine.shout(shout, "again")).toBe("AGAIN");
  });

  test("that breaks one queue keeps the other", async () => {
    using machine = new Machine();
    const { driver } = machine;
    const [shout, keep] = machine.up();
    keep.add([{ address: gpa(0x7000_0000), length: 8 }], []);
    keep.publish();
    driver.notify(1);
    await later();
    expect([driver.read(Register.Status) & DeviceStatus.NeedsReset, machine.logged.length]).toEqual([DeviceStatus.NeedsReset, 1]);
    expect(await machine.shout(shout, "fine")).toBe("FINE");
  });

  test("reads registers of the wrong width as nothing, and can't write them", () => {
    using machine = new Machine();
    const { driver, space } = machine;
    machine.up();
    expect([space.readU8(BASE), space.readU16(gpa(BASE + 0x70))]).toEqual([0, 0]);
    space.writeU8(gpa(BASE + 0x70), 0);
    expect(driver.read(Register.Status)).toBe(15);
  });

  test("that resets in the middle of a batch is rid of the device at once", async () => {
    using machine = new Machine();
    const { device, driver } = machine;
    const [, keep] = machine.up();
    for (let i = 0; i < 4; i++) keep.add([], [{ address: gpa(BUFFERS), length: 8 }]);
    keep.publish();
    driver.notify(1);
    await later();
    const { kept } = device;
    expect(kept).toHaveLength(4);
    driver.write(Register.Status, 0);
    for (const chain of kept) chain.push(8);
    expect([keep.used(), driver.read(Register.InterruptStatus), machine.space.doorbells]).toEqual([undefined, 0, []]);
  });
});

describe("a saved device", () => {
  test("goes on in another space, with the same memory at the same addresses, and what was in flight", async () => {
    using here = new Machine();
    const [shout, keep] = here.up();
    expect(await here.shout(shout, "before")).toBe("BEFORE");
    keep.add([], [{ address: gpa(BUFFERS + 0x8000), length: 8 }]);
    keep.publish();
    here.driver.notify(1);
    await later();
    expect(here.device.kept).toHaveLength(1);
    const state = JSON.parse(JSON.stringify(here.mmio.save()));
    here.mmio[Symbol.dispose]();
    const file = [...here.space.save()];

    const space = await VirtAddressSpace.restore(file, { memory: ({ size }) => sharedMemory(size) });
    using there = new Machine(space);
    there.mmio.restore(state);
    await later();
    expect([there.device.shouted, there.device.kept.length, there.levels.at(-1)]).toEqual([1, 1, true]);
    there.device.kept[0]?.push(3);
    // The driver's own memory went along: its new face in the new space sees the buffer come back.
    expect(space.readU32(gpa(RINGS[1] + 16 * 16 + 40 + 8))).toBe(3);
    there.driver.acknowledge();
    expect(there.driver.read(Register.Status)).toBe(15);
  });

  test("of another device, or damaged, is refused with nothing changed", async () => {
    using machine = new Machine();
    const [shout] = machine.up();
    const good = JSON.parse(JSON.stringify(new Machine().mmio.save()));
    const lies = [
      undefined,
      {},
      { ...good, status: -1 },
      { ...good, driverFeatures: [1, 2] },
      { ...good, status: 11, driverFeatures: [1 << 7, 1, 0, 0] },
      { ...good, queues: [] },
      { ...good, queues: [{ ...good.queues[0], size: 65 }, good.queues[1]] },
      { ...good, queues: [{ ...good.queues[0], ready: true, size: 3 }, good.queues[1]] },
      { ...good, queues: [{ ...good.queues[0], position: { available: 1e9, used: 0, inFlight: [] } }, good.queues[1]] },
      {
        ...good,
        queues: [
          { ...good.queues[0], position: { available: 0, used: 0, inFlight: [{ id: 1, slots: 1, readable: [[1]] }] } },
          good.queues[1],
        ],
      },
    ];
    for (const lie of lies) expect(() => machine.mmio.restore(lie)).toThrow(expect.objectContaining({ code: "state-mismatch" }));
    expect(await machine.shout(shout, "unharmed")).toBe("UNHARMED");
  });
});

test("a device that throws is reported once for each place, and harms nobody", async () => {
  using machine = new Machine();
  machine.device.startQueue = () => {
    throw new Error("a bug");
  };
  machine.up();
  machine.up();
  expect(machine.logged.filter((line) => line.includes("startQueue 0"))).toHaveLength(2);
  expect(machine.driver.read(Register.Status)).toBe(15);
});

test("what is disposed leaves no window, no doorbell and no holder in the space", async () => {
  const machine = new Machine();
  machine.up();
  const { space } = machine;
  machine.mmio[Symbol.dispose]();
  machine.mmio[Symbol.dispose]();
  await later();
  expect([space.regions.map(({ name }) => name), space.doorbells, space.holders]).toEqual([["ram"], [], ["its creator"]]);
  expect(space.readU32(BASE)).toBeUndefined();
  space[Symbol.dispose]();
});

describe("regressions", () => {
  test("a configuration that the driver wrote is saved, and its generation moves on", () => {
    using here = new Machine();
    here.up();
    here.space.writeU16(gpa(BASE + 0x104), 0x1234);
    here.device.config.data.setUint32(0, 7, true);
    const state = here.mmio.save();
    using there = new Machine();
    there.mmio.restore(JSON.parse(JSON.stringify(state)));
    expect([there.space.readU32(gpa(BASE + 0x100)), there.space.readU16(gpa(BASE + 0x104))]).toEqual([7, 0x1234]);
    expect(there.driver.read(Register.ConfigGeneration)).toBe(state.generation + 1);
  });

  test("a device that can't be saved goes on, and one that was is saved the same again", async () => {
    using machine = new Machine();
    const [shout] = machine.up();
    machine.device.save = () => {
      throw new Error("not now");
    };
    expect(() => machine.mmio.save()).toThrow(expect.objectContaining({ code: "device-failed" }));
    expect(await machine.shout(shout, "still here")).toBe("STILL HERE");
    machine.device.save = () => ({ shouted: 1 });
    const state = machine.mmio.save();
    expect([machine.mmio.save() === state, state.queues[0]?.position?.available]).toEqual([true, 1]);
  });

  test("states that would start a device with what it has not are refused", () => {
    using machine = new Machine();
    machine.up();
    const good = JSON.parse(JSON.stringify(machine.mmio.save()));
    const flight = { id: 1, slots: 1, readable: [], writable: [] };
    const lies = [
      { ...good, status: 4, driverFeatures: [1 << 7, 0, 0, 0] },
      { ...good, status: 0xffff_ff40 },
      { ...good, interruptStatus: 4 },
      { ...good, driverFeatures: [0, 0, 0, 0] },
      { ...good, config: [1] },
      { ...good, config: new Array(8).fill(256) },
      { ...good, queues: [{ ...good.queues[0], position: { available: 0, used: 0, inFlight: [flight, flight] } }, good.queues[1]] },
      {
        ...good,
        queues: [{ ...good.queues[0], position: { available: 0, used: 0, inFlight: [{ ...flight, slots: 17 }] } }, good.queues[1]],
      },
    ];
    for (const lie of lies) expect(() => machine.mmio.restore(lie)).toThrow(expect.objectContaining({ code: "state-mismatch" }));
    machine.mmio.restore(good);
    expect(machine.driver.read(Register.Status)).toBe(15);
  });

  test("a queue that was lost stays lost in its saved state", async () => {
    using machine = new Machine();
    const [, keep] = machine.up();
    keep.add([{ address: gpa(0x7000_0000), length: 8 }], []);
    keep.publish();
    machine.driver.notify(1);
    await later();
    machine.mmio.restore(JSON.parse(JSON.stringify(machine.mmio.save())));
    expect([machine.mmio.runner.queue(0)?.running, machine.mmio.runner.queue(1)]).toEqual([true, undefined]);
    expect(machine.driver.read(Register.Status) & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
  });

  test("a device that is disposed inside a listener, or whose line throws, leaves no window", async () => {
    const machine = new Machine();
    machine.up();
    let on = false;
    const listening = machine.space.listen({ name: "cleaner", commit: () => on && machine.mmio[Symbol.dispose]() });
    on = true;
    machine.space.map({ name: "more", base: gpa(0x1000_0000), memory: sharedMemory(4096) });
    expect(machine.space.readU32(BASE)).toBe(0);
    await later();
    expect([machine.space.lookup(BASE), machine.space.doorbells]).toEqual([undefined, []]);
    listening[Symbol.dispose]();

    const device = new Shouter();
    const broken = new VirtioMmio({
      space: machine.space,
      base: BASE,
      device,
      interrupt: (level) => {
        if (!level) throw new Error("no line");
      },
    });
    const driver = new MmioDriver(machine.space, BASE);
    driver.negotiate(WANTED);
    driver.ready();
    device.context?.configChanged();
    expect(() => broken[Symbol.dispose]()).toThrow("no line");
    await later();
    expect(machine.space.lookup(BASE)).toBeUndefined();
    machine.space[Symbol.dispose]();
  });

  test("a device that is disposed by what its own start led to leaves no doorbell", async () => {
    const machine = new Machine();
    machine.device.startQueue = () => machine.mmio[Symbol.dispose]();
    machine.driver.negotiate(WANTED);
    machine.driver.startQueue(0, RINGS[0], 16);
    machine.driver.ready();
    await later();
    expect([machine.space.doorbells, machine.space.lookup(BASE)]).toEqual([[], undefined]);
    machine[Symbol.dispose]();
  });

  test("features past bit 127, queue numbers past 16 bits and values that are neither yes nor no are not taken for others", () => {
    using machine = new Machine();
    const { driver } = machine;
    driver.negotiate(WANTED);
    driver.write(Register.Status, 0);
    driver.write(Register.Status, 3);
    for (const word of [0, 1]) {
      driver.write(Register.DriverFeaturesSel, word);
      driver.write(Register.DriverFeatures, WANTED.word(word));
    }
    driver.write(Register.DriverFeaturesSel, 4);
    driver.write(Register.DriverFeatures, 1);
    driver.write(Register.Status, 11);
    expect(driver.read(Register.Status) & DeviceStatus.FeaturesOk).toBe(0);
    machine.up();
    driver.write(Register.QueueSel, 0);
    driver.write(Register.QueueReady, 2);
    expect(driver.read(Register.QueueReady)).toBe(1);
    driver.notify(0x1_0000);
    expect(machine.mmio.runner.queue(0)?.counters.kicks).toBe(0);
  });

  test("a window that is too small for the configuration is an author's mistake", () => {
    using machine = new Machine();
    const options = { space: machine.space, base: gpa(0xe000_0000), device: new Shouter(), interrupt: () => {}, size: 0x100 };
    expect(() => new VirtioMmio(options)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
  });
});

test("a driver that breaks its queues over and over does not fill the log", () => {
  using machine = new Machine();
  for (let i = 0; i < 40; i++) {
    machine.driver.negotiate(WANTED);
    machine.driver.startQueue(0, gpa(0x7fff_0000), 16);
    machine.driver.ready();
  }
  const lost = machine.logged.filter((line) => line.includes("is retired"));
  expect([lost.length, lost.at(-1)?.includes("no more is said")]).toEqual([16, true]);
});
