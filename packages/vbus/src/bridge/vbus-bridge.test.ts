import { fc, test as property } from "@fast-check/vitest";
import type { VbusDeviceProxy } from "@virtspace/conformance";
import { advance, gpa } from "@virtspace/virt-address-space";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VbusConnection } from "../device/vbus-connection.ts";
import { VbusDevice, type VbusPort } from "../device/vbus-device.ts";
import { VbusDeviceInterface } from "../device/vbus-device-interface.ts";
import { isErrno } from "../errno/errno.ts";
import { Ioq } from "../ioq/ioq.ts";
import { IoqOffset, ioqSize } from "../ioq/ioq-layout.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import { BRIDGE_MAGIC, BridgeCall, BusCall } from "./bridge-abi.ts";
import { BridgedMachine, type GuestChoice, MMIO, PORT } from "./bridge-scenarios.ts";

let machine: BridgedMachine;
beforeEach(() => {
  machine = new BridgedMachine();
});
afterEach(() => machine[Symbol.dispose]());

const another = (choice: GuestChoice): void => {
  machine[Symbol.dispose]();
  machine = new BridgedMachine(choice);
};

const RINGS = 8;

/** A device that gives back what is posted to its ring, with each length doubled, and adds up what calls give it. */
function doubler(type = "doubler"): VbusDevice {
  const shown = new VbusDeviceInterface(`${type}0`, type, {
    connect: (memctx, version) => {
      if (version !== 1) return "EINVAL";
      const rings: Ioq[] = [];
      return new VbusConnection({
        call: (func, data, len) => {
          const bytes = new Uint8Array(Math.min(len, 64));
          return memctx.copyFrom(bytes, data) > 0 ? "EFAULT" : func + bytes.reduce((sum, byte) => sum + byte, 0);
        },
        shm: (_id, shm, signal) => {
          if (signal === undefined) return "EINVAL";
          const ring = Ioq.attach({ shm, locale: "south", signal }, 64);
          if (isErrno(ring)) return ring;
          rings.push(ring);
          const work = ring.iterator("inuse", { autoUpdate: true });
          signal.listener = () => {
            for (let i = 0; i < ring.count && work.seek("tail") === 0 && work.mine && work.valid; i++) {
              work.len = 2 * work.len;
              work.push();
            }
          };
          signal.enable();
          return 0;
        },
        close: () => {
          for (const ring of rings) ring[Symbol.dispose]();
        },
      });
    },
  });
  return new VbusDevice(type, {
    busConnect: (port: VbusPort) => {
      const id = port.add(shown);
      return isErrno(id) ? id : 0;
    },
    busDisconnect: (port) => port.remove(shown),
  });
}

/** The guest's end of a doubler's ring. */
class DoublerRing {
  readonly ring: Ioq;
  readonly done: number[] = [];

  constructor(device: VbusDeviceProxy, prio = 0) {
    const { heap, memctx, host } = device.guest;
    const address = heap.take(ioqSize(RINGS));
    const shm = memctx.shm(address, ioqSize(RINGS)) as VbusShm;
    const ring = Ioq.create({ shm, count: RINGS, inject: () => {}, ...host });
    ring[Symbol.dispose]();
    const signal = device.shm(1, address, ioqSize(RINGS), { offset: IoqOffset.signal, prio });
    if (isErrno(signal)) throw new Error(signal);
    this.ring = Ioq.attach({ shm, locale: "north", signal }, RINGS) as Ioq;
    const reap = this.ring.iterator("inuse", { autoUpdate: true, keepOwner: true });
    signal.listener = () => {
      for (reap.seek("head"); this.ring.used("inuse") !== 0 && reap.mine; ) {
        this.done.push(reap.len);
        reap.pop();
        const free = this.ring.iterator("valid", { keepOwner: true });
        free.seek("head");
        free.pop();
      }
    };
    signal.enable();
  }

  post(len: number): 0 | string {
    const post = this.ring.iterator("valid");
    post.seek("tail");
    post.len = len;
    post.valid = true;
    return post.push();
  }
}

describe.each([
  ["a port", true],
  ["the window", false],
])("calls through %s", (_how, fastcalls) => {
  beforeEach(() => another({ fastcalls }));

  test("find a device, open it, call it, exchange on its ring, and close it", async () => {
    machine.bus.connect(doubler());
    const { guest } = machine;
    expect(guest.start()).toBe(0);
    await machine.settle();
    const [device] = [...guest.devices.values()] as [VbusDeviceProxy];
    expect([device.type, device.id, device.open(2), device.open(1)]).toEqual(["doubler", 1n, "EINVAL", 0]);
    const data = machine.heap.take(8);
    machine.memory.writeU32(data, 0x0101_0101);
    expect(device.call(10, data, 4)).toBe(14);
    const ring = new DoublerRing(device);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < RINGS; i++) expect(ring.post(round * RINGS + i)).toBe(0);
      await machine.settle();
    }
    expect(ring.done).toEqual(Array.from({ length: 5 * RINGS }, (_, i) => 2 * i));
    expect(machine.bridge.openHandles).toBe(2);
    expect([device.close(), device.call(10, data, 4), machine.bridge.openHandles]).toEqual([0, "ENOENT", 0]);
    expect(machine.faults).toEqual([]);
  });
});

test("drivers find their devices, whichever comes first, and hear of their end", async () => {
  const heard: string[] = [];
  const driver = {
    type: "doubler",
    probe: ({ id }: VbusDeviceProxy) => void heard.push(`probe ${id}`),
    remove: ({ id }: VbusDeviceProxy) => void heard.push(`remove ${id}`),
  };
  const first = doubler();
  machine.bus.connect(first);
  machine.guest.start();
  await machine.settle();
  machine.guest.register(driver);
  machine.bus.connect(doubler("other"));
  machine.bus.connect(doubler());
  await machine.settle();
  machine.bus.disconnect(first);
  await machine.settle();
  expect([heard, machine.guest.devices.size]).toEqual([["probe 1", "probe 3", "remove 1"], 2]);
});

test("many signals are few events, and few interrupts: the counters say how many", async () => {
  machine.bus.connect(doubler());
  machine.guest.start();
  await machine.settle();
  const device = machine.guest.devices.get(1n) as VbusDeviceProxy;
  device.open(1);
  const ring = new DoublerRing(device);
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < RINGS; i++) ring.post(i);
    await machine.settle();
  }
  const { counters } = machine.bridge;
  expect(ring.done.length).toBe(80);
  expect([counters.inject, counters.notify]).toEqual([10, 10]);
  expect(counters.events).toBe(11);
  expect(counters.qnotify).toBeLessThanOrEqual(11);
  expect([machine.guest.counters.events, machine.guest.counters.notify, machine.guest.counters.inject]).toEqual([11, 10, 10]);
  expect([counters.bridgecalls, counters.buscalls]).toEqual([machine.guest.counters.bridgecalls, machine.guest.counters.buscalls]);
});

describe("event queues", () => {
  test("by priority: what is urgent has a queue, and an interrupt, of its own", async () => {
    for (const [queues, expected] of [
      [8, [0, 3, 7]],
      [4, [0, 3, 3]],
      [1, [0, 0, 0]],
    ] as const) {
      another({ queues });
      for (let i = 0; i < 3; i++) machine.bus.connect(doubler());
      machine.guest.start();
      await machine.settle();
      const rings = [0, 3, 7].map((prio, i) => {
        const device = machine.guest.devices.get(BigInt(i + 1)) as VbusDeviceProxy;
        device.open(1);
        return new DoublerRing(device, prio);
      });
      const came: number[] = [];
      for (const ring of rings) {
        machine.interrupts.length = 0;
        ring.post(1);
        await machine.settle();
        came.push(...machine.interrupts);
      }
      expect(came).toEqual(expected);
    }
  });

  test("that are full have the rest wait, and nothing is lost", async () => {
    another({ events: 2, queues: 1 });
    for (let i = 0; i < 9; i++) machine.bus.connect(doubler());
    machine.guest.start();
    expect(machine.bridge.backlog[0]?.length).toBe(7);
    await machine.settle();
    expect([machine.guest.devices.size, machine.bridge.backlog]).toEqual([9, [[]]]);
  });

  test("of a guest that never drains them hold no more than there is to say", async () => {
    another({ events: 2, queues: 1 });
    machine.guest.start();
    machine.guest.interrupt = () => {};
    const devices = Array.from({ length: 10 }, () => doubler());
    for (let round = 0; round < 100; round++) {
      for (const device of devices) machine.bus.connect(device);
      for (const device of devices) machine.bus.disconnect(device);
    }
    await machine.settle();
    // Two that were told came, and that they went is still to be told.
    expect(machine.bridge.backlog[0]?.length).toBe(2);
  });
});

test("a guest that negotiates anew finds all closed, and the devices again", async () => {
  machine.bus.connect(doubler());
  machine.guest.start();
  await machine.settle();
  machine.guest.devices.get(1n)?.open(1);
  const guest = machine.newGuest();
  machine.guest = guest;
  expect([guest.start(), machine.bridge.openHandles]).toEqual([0, 0]);
  await machine.settle();
  expect([guest.devices.size, guest.devices.get(1n)?.open(1)]).toEqual([1, 0]);
});

test("a guest's memory is given back when the bridge goes, and its windows with them", async () => {
  machine.bus.connect(doubler());
  machine.guest.start();
  await machine.settle();
  const device = machine.guest.devices.get(1n) as VbusDeviceProxy;
  device.open(1);
  new DoublerRing(device);
  machine.windows[Symbol.dispose]();
  machine.bridge[Symbol.dispose]();
  machine.bridge[Symbol.dispose]();
  expect([machine.bridge.openHandles, machine.memory.regions.length, machine.ports.regions.length, machine.ports.doorbells.length]).toEqual(
    [0, 1, 0, 0],
  );
});

describe("what is wrong is an errno", () => {
  const call = (vector: number, words: readonly number[], length = words.length * 4): unknown => {
    const at = machine.heap.take(Math.max(words.length * 4, 8));
    words.forEach((word, i) => {
      machine.memory.writeU32(advance(at, 4 * i), word);
    });
    return machine.guest.bridgecall(vector, at, length);
  };
  const negotiate = (): unknown => call(BridgeCall.negotiate, [BRIDGE_MAGIC, 1, 0, 0]);

  test.each([
    ["another magic", [1, 1, 0, 0], 16],
    ["another version", [BRIDGE_MAGIC, 2, 0, 0], 16],
    ["a length that is short", [BRIDGE_MAGIC, 1, 0, 0], 15],
    ["a length that is long", [BRIDGE_MAGIC, 1, 0, 0], 17],
  ])("negotiating with %s", (_what, words, length) => {
    expect([call(BridgeCall.negotiate, words, length), call(BridgeCall.slowcall, [0, 0, 0, 0])]).toEqual(["EINVAL", "EINVAL"]);
  });

  test("calls before it was negotiated, calls that there are not, and parameters that are nowhere", () => {
    expect(call(BridgeCall.qreg, [1, 0, 0, 0, 0, 0, 0, 0])).toBe("EINVAL");
    expect([negotiate(), call(5, [0]), call(0xffff_ffff, [0])]).toEqual([0, "EINVAL", "EINVAL"]);
    expect(machine.guest.bridgecall(BridgeCall.slowcall, gpa(0x8000_0000), 16)).toBe("EFAULT");
  });

  test("capabilities that nobody knows are not granted", () => {
    const at = machine.heap.take(16);
    [BRIDGE_MAGIC, 1, 0xffff_ffff, 0xffff_ffff].forEach((word, i) => {
      machine.memory.writeU32(advance(at, 4 * i), word);
    });
    expect([machine.guest.bridgecall(BridgeCall.negotiate, at, 16), machine.memory.readBigU64(advance(at, 8))]).toEqual([0, 0n]);
  });

  test("event queues: none, too many, counts that differ, rings that are none, and twice", () => {
    negotiate();
    const entry = [16, 0, 0x1000, 0, 0x2000, 0];
    expect(call(BridgeCall.qreg, [0, 0])).toBe("EINVAL");
    expect(call(BridgeCall.qreg, [9, 0, ...Array.from({ length: 9 }, () => entry).flat()])).toBe("EINVAL");
    expect(call(BridgeCall.qreg, [2, 0, ...entry])).toBe("EINVAL");
    expect(call(BridgeCall.qreg, [1, 0, ...entry])).toBe("EINVAL");
    expect(call(BridgeCall.qreg, [1, 0, 0, 0, 0x1000, 0, 0x2000, 0])).toBe("EINVAL");
    expect(call(BridgeCall.qreg, [1, 0, 0xffff_ffff, 0, 0x1000, 0, 0x2000, 0])).toBe("EINVAL");
    expect(call(BridgeCall.qreg, [1, 0, 16, 0, 0, 0xf000, 0x2000, 0])).toBe("EFAULT");
    expect(machine.guest.start()).toBe(0);
    expect(call(BridgeCall.qreg, [1, 0, ...entry])).toBe("EEXIST");
  });

  test("processors' descriptors: another length, a channel past the last, twice, and one that was dropped", () => {
    negotiate();
    expect(call(BridgeCall.fastcallAdd, [0, 23, 0x1000, 0])).toBe("EINVAL");
    expect(call(BridgeCall.fastcallAdd, [1024, 24, 0x1000, 0])).toBe("EINVAL");
    expect(call(BridgeCall.fastcallAdd, [3, 24, 0, 0xf000])).toBe("EFAULT");
    expect(call(BridgeCall.fastcallAdd, [3, 24, 0x1000, 0])).toBe(0);
    expect(call(BridgeCall.fastcallAdd, [3, 24, 0x1000, 0])).toBe("EEXIST");
    expect([call(BridgeCall.fastcallDrop, [3, 24, 0, 0]), call(BridgeCall.fastcallDrop, [3, 24, 0, 0])]).toEqual([0, "ENOENT"]);
    machine.ports.writeU32(advance(PORT, 4), 3);
    expect(machine.memory.readU32(gpa(0x1010))).toBe(0);
  });

  test.each([
    ["DEVOPEN", BusCall.devopen, 4],
    ["DEVCLOSE", BusCall.devclose, 2],
    ["DEVCALL", BusCall.devcall, 8],
    ["DEVSHM", BusCall.devshm, 12],
    ["no call", 4, 2],
  ])("%s with another length, and with nothing behind it", (_name, vector, words) => {
    machine.guest.start();
    const none = Array.from({ length: words }, () => 0);
    expect([machine.guest.buscall(vector, [...none, 0]).result, machine.guest.buscall(vector, none.slice(1)).result]).toEqual([
      "EINVAL",
      "EINVAL",
    ]);
    expect(machine.guest.buscall(vector, none).result).toBe(vector === 4 ? "EINVAL" : "ENOENT");
  });

  test("a signal of a priority that there is not, outside its memory, or with another magic", async () => {
    machine.bus.connect(doubler());
    machine.guest.start();
    await machine.settle();
    const device = machine.guest.devices.get(1n) as VbusDeviceProxy;
    device.open(1);
    const at = machine.heap.take(64);
    const shm = machine.guest.memctx.shm(at, 64) as VbusShm;
    ShmSignal.format(shm, 0);
    shm.put();
    const refused = [
      { offset: 0, prio: 8 },
      { offset: 0, prio: 0xffff_ffff },
      { offset: 49, prio: 0 },
      { offset: 0xffff_fffe, prio: 0 },
      { offset: 16, prio: 0 },
      // It is a signal, and no ring: that is the device's word.
      { offset: 0, prio: 0 },
    ].map((signal) => device.shm(1, at, 64, signal));
    expect(refused).toEqual(["EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
    expect([device.share(1, at, 64), machine.bridge.openHandles]).toEqual(["EINVAL", 1]);
  });

  test("accesses of other widths are lost, and read as ones", () => {
    expect([machine.memory.readU8(MMIO), machine.memory.readU16(MMIO), machine.ports.readU8(PORT)]).toEqual([0xff, 0xffff, 0xff]);
    machine.memory.writeU16(MMIO, 1);
    expect(machine.bridge.counters.bridgecalls).toBe(0);
    expect(machine.memory.readU32(advance(MMIO, 4))).toBe(0);
  });
});

test("a descriptor that the guest changes while its call runs counts as it was", async () => {
  machine.guest.start();
  const changing = new VbusDeviceInterface("changing", "changing", {
    connect: () =>
      new VbusConnection({
        call: (func) => {
          machine.memory.fill(gpa(0x1_0000), 0x1000, 0xff);
          return func;
        },
        shm: () => 0,
        close: () => {},
      }),
  });
  machine.bus.connect(
    new VbusDevice("changing", {
      busConnect: (port) => {
        port.add(changing);
        return 0;
      },
      busDisconnect: (port) => port.remove(changing),
    }),
  );
  await machine.settle();
  const device = machine.guest.devices.get(1n) as VbusDeviceProxy;
  device.open(1);
  expect(device.call(42, gpa(0), 0)).toBe(42);
  expect(machine.faults).toEqual([]);
});

property.prop([
  fc.array(
    fc.tuple(
      fc.constantFrom("window", "port", "memory", "bus", "turn"),
      fc.oneof(fc.nat(0xff), fc.constantFrom(0xffff_ffff, 0x1_0000, 0x7fff_ffff, 4096)),
      fc.oneof(fc.nat(64), fc.nat(0xffff_ffff)),
      fc.nat(0x7fff),
    ),
    { maxLength: 80 },
  ),
])("whatever a guest writes, nothing throws, hangs or is left behind", async (steps) => {
  using box = new BridgedMachine({ events: 4, queues: 2 });
  box.bus.connect(doubler());
  box.guest.start();
  await box.settle();
  const device = box.guest.devices.get(1n) as VbusDeviceProxy;
  device.open(1);
  const ring = new DoublerRing(device);
  for (const [where, value, other, at] of steps) {
    if (where === "window") {
      [value % 8, other % 64, 0x1_0000 + (at & ~7), 0].forEach((word, i) => {
        box.memory.writeU32(advance(MMIO, 4 * i), word);
      });
      box.memory.readU32(MMIO);
    } else if (where === "port") box.ports.writeU32(advance(PORT, 4 * (at % 3)), value);
    else if (where === "memory") box.memory.writeU32(gpa(0x1_0000 + (at & ~3)), other);
    else if (where === "bus")
      box.guest.buscall(value % 5, [other, at, 1, value, 0, 0, 0x1_0000, 0, 0, 0, at, 0].slice(0, 2 * (1 + (at % 6))));
    else {
      ring.post(value);
      box.turns.turn();
      await Promise.resolve();
    }
  }
  for (let i = 0; i < 100; i++) box.turns.turn();
  expect(box.faults).toEqual([]);
  box.bridge[Symbol.dispose]();
  expect(box.bridge.openHandles).toBe(0);
});
