import { fc, test as property } from "@fast-check/vitest";
import { type VbusDeviceProxy, VenetNic, type VenetNicOptions } from "@virtspace/conformance";
import { Gateway, LearningSwitch, Loopback, type NetworkBackend } from "@virtspace/network";
import { gpa } from "@virtspace/virt-address-space";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BridgedMachine } from "../bridge/bridge-scenarios.ts";
import { IndexOffset, IoqOffset } from "../ioq/ioq-layout.ts";
import { Venet } from "./venet.ts";
import { EventCapability, SgCapability, SgFlag, VenetCall, VenetGroup, VenetSg, VenetShm } from "./venet-abi.ts";

const [MAC, OTHER] = [0x5254_0000_0001, 0x5254_0000_0002] as const;

let stack: DisposableStack;
beforeEach(() => {
  stack = new DisposableStack();
});
afterEach(() => stack.dispose());

interface Box {
  readonly machine: BridgedMachine;
  readonly venet: Venet;
  readonly nic: VenetNic;
  readonly device: VbusDeviceProxy;
  readonly frames: Uint8Array[];
}

/** A guest with a card on a network, not yet open. */
async function box(backend: NetworkBackend, mac: number = MAC, options: VenetNicOptions = {}): Promise<Box> {
  const machine = stack.use(new BridgedMachine());
  const venet = new Venet({ backend, mac, host: machine.turns });
  machine.bus.connect(venet.device);
  machine.guest.start();
  await machine.settle();
  const device = machine.guest.devices.get(1n) as VbusDeviceProxy;
  const frames: Uint8Array[] = [];
  const nic = new VenetNic(device, { size: 16, onFrame: (frame) => void frames.push(frame), ...options });
  return { machine, venet, nic, device, frames };
}

async function opened(...parts: Parameters<typeof box>): Promise<Box> {
  const made = await box(...parts);
  expect([made.nic.open(), made.nic.call(VenetCall.linkUp)]).toEqual([0, 0]);
  await made.machine.settle();
  return made;
}

/** A frame from an address to another, with a pattern. */
function frame(to: number, from: number, length = 60): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i);
  const data = new DataView(bytes.buffer);
  [to, from].forEach((mac, i) => {
    data.setUint16(6 * i, Math.floor(mac / 2 ** 32));
    data.setUint32(6 * i + 2, mac % 2 ** 32);
  });
  data.setUint16(12, 0x88b5);
  return bytes;
}

describe.each([
  ["in pieces, with headers", SgCapability.sg],
  ["flat", 0],
])("frames %s", (_how, sg) => {
  test("go out and come in, round and round", async () => {
    const { machine, nic, frames, venet } = await opened(new Loopback(), MAC, { capabilities: { sg } });
    expect([nic.granted.sg, [...nic.mac]]).toEqual([sg, [0x52, 0x54, 0, 0, 0, 1]]);
    const sent: Uint8Array[] = [];
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 16; i++) {
        const each = frame(OTHER, MAC, 60 + 13 * i);
        sent.push(each);
        expect(nic.send(each, { pieces: 1 + (i % 3) })).toBe(true);
      }
      await machine.settle();
    }
    expect(frames).toEqual(sent);
    expect([venet.counters.txFrames, venet.counters.rxFrames, venet.counters.drops]).toEqual([160, 160, {}]);
    expect(machine.faults).toEqual([]);
  });

  test("wait while there is no buffer, and none is lost", async () => {
    const { machine, nic, frames, venet } = await opened(new Loopback(), MAC, { capabilities: { sg } });
    const interrupt = machine.guest.interrupt.bind(machine.guest);
    machine.guest.interrupt = () => {};
    for (let i = 0; i < 16; i++) nic.send(frame(OTHER, MAC, 60 + i));
    await machine.settle();
    machine.guest.interrupt = interrupt;
    for (let i = 0; i < 8; i++) machine.guest.interrupt(i);
    await machine.settle();
    for (let i = 0; i < 16; i++) expect(nic.send(frame(OTHER, MAC, 100 + i))).toBe(true);
    await machine.settle();
    expect([frames.length, venet.counters.drops]).toEqual([32, {}]);
  });
});

test("two guests on one switch, each with a machine of its own", async () => {
  const network = new LearningSwitch();
  const here = await opened(network, MAC);
  const there = await opened(network, OTHER);
  here.nic.send(frame(OTHER, MAC));
  await here.machine.settle();
  await there.machine.settle();
  there.nic.send(frame(MAC, OTHER, 1514));
  await there.machine.settle();
  await here.machine.settle();
  expect([there.frames.map(({ length }) => length), here.frames.map(({ length }) => length)]).toEqual([[60], [1514]]);
});

test("a gateway answers ARP through it", async () => {
  const network = new LearningSwitch();
  using _gateway = new Gateway(network, { address: "10.0.2.2" });
  const { machine, nic, frames } = await opened(network);
  const request = frame(0xffff_ffff_ffff, MAC, 60).fill(0, 12);
  request.set([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, ...nic.mac, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2], 12);
  nic.send(request);
  await machine.settle();
  const [answer = new Uint8Array()] = frames;
  expect([frames.length, [...answer.subarray(20, 22)], [...answer.subarray(28, 32)]]).toEqual([1, [0, 2], [10, 0, 2, 2]]);
});

test("a ring that says that it is full takes no frame, and gives none again and again", async () => {
  const { machine, nic, device, venet } = await box(new Loopback());
  const rings = new Map<number, number>();
  const shm = device.shm.bind(device);
  device.shm = (id, ptr, ...rest) => {
    rings.set(id, ptr);
    return shm(id, ptr, ...rest);
  };
  expect([nic.open(), nic.call(VenetCall.linkUp)]).toEqual([0, 0]);
  const lie = (id: number): boolean => machine.memory.writeU8(gpa((rings.get(id) as number) + IoqOffset.inuse + IndexOffset.full), 1);
  expect(lie(VenetShm.rx)).toBe(true);
  nic.send(frame(OTHER, MAC));
  await machine.settle();
  expect([venet.counters.txFrames, venet.counters.rxFrames, venet.counters.waits]).toEqual([0, 0, 2]);
});

describe("the order of things", () => {
  test("the link wants both rings, and goes up once and down once", async () => {
    const { nic, device } = await box(new Loopback());
    device.open(1);
    expect([nic.call(VenetCall.linkUp), nic.call(VenetCall.linkDown), nic.call(VenetCall.flushRx)]).toEqual(["EINVAL", "ENOENT", "EINVAL"]);
    device.close();
    expect(nic.open()).toBe(0);
    expect([nic.call(VenetCall.linkUp), nic.call(VenetCall.linkUp)]).toEqual([0, "EEXIST"]);
    expect([nic.call(VenetCall.linkDown), nic.call(VenetCall.linkDown), nic.call(99)]).toEqual([0, "ENOENT", "EINVAL"]);
  });

  test("capabilities are those that both have, of groups that are known, before the link is up", async () => {
    const { nic } = await opened(new Loopback(), MAC, { capabilities: { sg: 0xffff_ffff, events: 0xffff_ffff } });
    expect(nic.granted.events).toBe(EventCapability.linkState | EventCapability.txComplete);
    expect([nic.granted.sg & SgCapability.sg, nic.granted.sg & SgCapability.pmtd]).toEqual([1, SgCapability.pmtd]);
    expect(nic.negotiate(VenetGroup.sg, 1)).toBe(0);
    nic.call(VenetCall.linkDown);
    expect([nic.negotiate(VenetGroup.sg, 1), nic.negotiate(VenetGroup.l4ro, 1), nic.negotiate(77, 1)]).toEqual([1, 1, 0]);
  });

  test("one guest has it at a time, and the next may after it", async () => {
    const { nic, device, machine } = await opened(new Loopback());
    expect(device.open(1)).toBe("EBUSY");
    expect([nic.close(), machine.bridge.openHandles, device.open(1)]).toEqual([0, 0, 0]);
  });
});

test("headers that were mapped beforehand are found by their offsets, and only there", async () => {
  const { machine, nic, frames, venet } = await opened(new Loopback(), MAC, { capabilities: { sg: SgCapability.sg | SgCapability.pmtd } });
  for (let i = 0; i < 40; i++) {
    expect(nic.send(frame(OTHER, MAC, 60 + i), { pieces: 3 })).toBe(true);
    await machine.settle();
  }
  expect([frames.map(({ length }) => length), venet.counters.drops]).toEqual([Array.from({ length: 40 }, (_, i) => 60 + i), {}]);
  expect(nic.call(VenetCall.pmtdQuery)).toBe(VenetShm.pmtdPool);
});

describe("large frames that come in", () => {
  const LARGE = SgCapability.sg | SgCapability.tso4;
  const segment = (length: number): Uint8Array => {
    const bytes = frame(OTHER, MAC, length);
    // IPv4 and TCP: enough for a switch that looks at nothing else.
    bytes.set([0x08, 0x00, 0x45, 0, (length - 14) >> 8, (length - 14) & 255, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2], 12);
    bytes[46] = 0x50;
    return bytes;
  };
  const asLarge = (header: DataView): void => {
    header.setUint32(VenetSg.flags, SgFlag.needsCsum | SgFlag.gso, true);
    header.setUint16(VenetSg.csumStart, 34, true);
    header.setUint16(VenetSg.csumOffset, 16, true);
    header.setUint16(VenetSg.gsoHeader, 54, true);
    header.setUint16(VenetSg.gsoSize, 1460, true);
  };

  test("go on in pages, which the header names by the guest's own words", async () => {
    const headers: { length: number; count: number; size: number }[] = [];
    const network = new LearningSwitch({ whenFull: "wait" });
    const sender = await opened(network, MAC, { capabilities: { sg: LARGE }, bufferBytes: 20_000 });
    const frames: Uint8Array[] = [];
    const { machine, nic, venet } = await opened(network, OTHER, {
      capabilities: { sg: LARGE, l4ro: LARGE },
      onFrame: (each, header) => {
        frames.push(each);
        if (header !== undefined)
          headers.push({
            length: header.getUint32(VenetSg.len, true),
            count: header.getUint32(VenetSg.count, true),
            size: header.getUint16(VenetSg.gsoSize, true),
          });
      },
    });
    expect([sender.nic.granted.sg, nic.granted.l4ro]).toEqual([LARGE, LARGE]);
    for (let i = 0; i < 40; i++) {
      expect(sender.nic.send(segment(18_000 + i), { describe: asLarge })).toBe(true);
      await sender.machine.settle();
      await machine.settle();
    }
    // A buffer of 1514 bytes, and five pages of 4096.
    expect([headers.length, headers[0], venet.counters.drops]).toEqual([40, { length: 18_000, count: 6, size: 1460 }, {}]);
    expect(frames.at(-1)).toEqual(segment(18_039));
  });

  test("wait for pages while there are too few, and are dropped where no pages will do", async () => {
    const network = new LearningSwitch({ whenFull: "wait" });
    const sender = await opened(network, MAC, { capabilities: { sg: LARGE }, bufferBytes: 20_000 });
    const small = await opened(network, OTHER, { capabilities: { sg: LARGE, l4ro: LARGE }, pageBytes: 64 });
    sender.nic.send(segment(2600), { describe: asLarge });
    sender.nic.send(segment(18_000), { describe: asLarge });
    sender.nic.send(segment(2000), { describe: asLarge });
    await sender.machine.settle();
    await small.machine.settle();
    // 1514 and 16 pages of 64 bytes would be 2538: the first and the second are in too many pieces for a header of 16.
    expect([small.nic.received, small.venet.counters.drops]).toEqual([1, { "too-many-pieces": 2 }]);
    expect(small.frames.map(({ length }) => length)).toEqual([2000]);

    const held = await opened(network, OTHER + 1, { capabilities: { sg: LARGE, l4ro: LARGE }, pageBytes: 1024, size: 4 });
    held.nic.send(frame(MAC, OTHER + 1)); // a flood waits for nobody: the switch has to know where it is
    await held.machine.settle();
    const interrupt = held.machine.guest.interrupt.bind(held.machine.guest);
    held.machine.guest.interrupt = () => {};
    const large = segment(4000);
    large.set([0x52, 0x54, 0, 0, 0, 3]);
    for (let i = 0; i < 3; i++) sender.nic.send(large, { describe: asLarge });
    await sender.machine.settle();
    await held.machine.settle();
    // 4 pages: enough for one frame, until the guest gives them back.
    expect([held.venet.counters.rxFrames, held.venet.counters.waits > 0]).toEqual([1, true]);
    held.machine.guest.interrupt = interrupt;
    for (let i = 0; i < 8; i++) held.machine.guest.interrupt(i);
    for (let i = 0; i < 4; i++) {
      await held.machine.settle();
      await sender.machine.settle();
    }
    expect([held.frames.map(({ length }) => length), held.venet.counters.drops]).toEqual([[4000, 4000, 4000], {}]);
  });
});

test("every buffer is given back when that is asked for, with a length of 0, and nobody is called", async () => {
  const { machine, nic, frames } = await opened(new Loopback());
  const before = nic.signals.rx;
  expect(nic.call(VenetCall.flushRx)).toBe(0);
  await machine.settle();
  expect(nic.signals.rx).toBe(before);
  nic.poll();
  expect(nic.returned).toBe(16);
  nic.send(frame(OTHER, MAC));
  await machine.settle();
  expect(frames.length).toBe(1);
});

describe("events", () => {
  test("tell of the cable, and frames wait while it is out", async () => {
    const { machine, nic, frames, venet } = await opened(new Loopback());
    venet.enabled = false;
    nic.send(frame(OTHER, MAC));
    await machine.settle();
    expect([nic.link, frames.length]).toEqual([false, 0]);
    venet.enabled = true;
    await machine.settle();
    expect([nic.link, frames.length]).toEqual([true, 1]);
  });

  test("tell of frames that went out, by their words", async () => {
    const { machine, nic } = await opened(new Loopback());
    for (let i = 0; i < 16; i++) nic.send(frame(OTHER, MAC), { cookie: 1000 + i });
    await machine.settle();
    expect(nic.completed).toEqual(Array.from({ length: 16 }, (_, i) => BigInt(1000 + i)));
  });
});

test("many frames are few signals", async () => {
  const { machine, nic } = await opened(new Loopback());
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 16; i++) nic.send(frame(OTHER, MAC));
    await machine.settle();
  }
  expect(nic.received).toBe(800);
  expect((nic.signals.rx + nic.signals.tx) / 800).toBeLessThan(0.2);
});

test("people see and set what configfs and sysfs had", async () => {
  const { venet } = await box(new Loopback());
  const { attributes } = venet.device;
  expect([...attributes].map(([name, { show }]) => [name, show()])).toEqual([
    ["client_mac", "52:54:00:00:00:01"],
    ["host_mac", "00:00:00:00:00:00"],
    ["ifname", "venet"],
    ["enabled", "1"],
    ["burstthresh", "256"],
    ["txmitigation", "64"],
    ["zcthresh", "0"],
  ]);
  const store = (name: string, value: string): unknown => attributes.get(name)?.store?.(value);
  expect([store("enabled", "0"), venet.enabled, store("enabled", "yes"), store("ifname", "eth0")]).toEqual([0, false, "EINVAL", undefined]);
  expect([store("txmitigation", "1"), store("txmitigation", "0"), store("txmitigation", "1e3")]).toEqual([0, 0, "EINVAL"]);
  expect([store("burstthresh", "2"), store("burstthresh", "0"), attributes.get("burstthresh")?.show()]).toEqual([0, "EINVAL", "2"]);
  expect([store("client_mac", "52:54:00:00:00:09"), store("client_mac", "01:00:00:00:00:00"), store("client_mac", "x")]).toEqual([
    0,
    "EINVAL",
    "EINVAL",
  ]);
});

test.each([{ mtu: 67 }, { mtu: 1500.5 }, { txMitigation: -1 }, { burst: 0 }])("an author's %j is his mistake", (options) => {
  expect(() => new Venet({ backend: new Loopback(), mac: MAC, ...options })).toThrow(expect.objectContaining({ code: "invalid-argument" }));
});

test("a checksum that is left to do is done where the network can't leave it", async () => {
  const plain: NetworkBackend = {
    name: "plain",
    plug: (endpoint) => {
      const port = new Loopback().plug(endpoint);
      return Object.defineProperty(port, "accepts", { value: { checksum: false, segmentation: [] } });
    },
  };
  const { machine, nic, frames } = await opened(plain);
  const datagram = frame(OTHER, MAC, 60).fill(0, 12);
  // IPv4, UDP, and the sum of the pseudo-header where the checksum goes.
  datagram.set([0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2, 0, 7, 0, 7, 0, 26], 12);
  nic.send(datagram, {
    describe: (header) => {
      header.setUint32(VenetSg.flags, SgFlag.needsCsum, true);
      header.setUint16(VenetSg.csumStart, 34, true);
      header.setUint16(VenetSg.csumOffset, 6, true);
    },
  });
  await machine.settle();
  const [finished = new Uint8Array(60)] = frames;
  const words = Array.from({ length: 13 }, (_, i) => ((finished[34 + 2 * i] as number) << 8) | (finished[35 + 2 * i] as number));
  const sum = words.reduce((total, word) => total + word, 0);
  expect([frames.length, (sum & 0xffff) + (sum >> 16)]).toEqual([1, 0xffff]);
});

describe("headers that don't hold are dropped, counted, and their descriptors given back", () => {
  const big = 0xffff_ffff;
  test.each([
    ["a length that is not the sum of the pieces", (header: DataView) => header.setUint32(VenetSg.len, 61, true), "bad-length"],
    ["a length that is too long", (header: DataView) => header.setUint32(VenetSg.len, big, true), "bad-length"],
    ["no pieces", (header: DataView) => header.setUint32(VenetSg.count, 0, true), "bad-length"],
    ["more pieces than there are", (header: DataView) => header.setUint32(VenetSg.count, 2, true), "bad-length"],
    ["a huge count", (header: DataView) => header.setUint32(VenetSg.count, big, true), "too-many-pieces"],
    ["a piece that is nowhere", (header: DataView) => header.setUint32(VenetSg.iov + 12, 0x100, true), "gone"],
    ["a piece past all addresses", (header: DataView) => header.setUint32(VenetSg.iov + 12, big, true), "gone"],
    ["a checksum in its addresses", (header: DataView) => header.setUint32(VenetSg.flags, SgFlag.needsCsum, true), "bad-offload"],
    ["a large segment that was not agreed upon", (header: DataView) => header.setUint32(VenetSg.flags, SgFlag.gso, true), "bad-offload"],
  ] as const)("%s", async (_what, describe_, reason) => {
    const { machine, nic, frames, venet } = await opened(new Loopback());
    nic.send(frame(OTHER, MAC), { describe: describe_ });
    nic.send(frame(OTHER, MAC, 61));
    await machine.settle();
    expect([frames.map(({ length }) => length), venet.counters.drops]).toEqual([[61], { [reason]: 1 }]);
    for (let i = 0; i < 16; i++) expect(nic.send(frame(OTHER, MAC))).toBe(true);
  });

  test("frames that are too short, and too long", async () => {
    const { machine, nic, frames, venet } = await opened(new Loopback(), MAC, { bufferBytes: 2000 });
    nic.send(new Uint8Array(13));
    nic.send(frame(OTHER, MAC, 1515));
    await machine.settle();
    expect([frames, venet.counters.drops]).toEqual([[], { short: 1, "bad-length": 1 }]);
  });
});

property.prop([
  fc.array(
    fc.oneof(
      fc.record({ what: fc.constant("write" as const), at: fc.nat(0x2_0000), value: fc.nat(0xffff_ffff) }),
      fc.record({ what: fc.constant("send" as const), at: fc.nat(1500), value: fc.nat(0xffff_ffff) }),
      fc.record({ what: fc.constant("call" as const), at: fc.nat(9), value: fc.nat(64) }),
      fc.record({ what: fc.constant("turn" as const), at: fc.constant(0), value: fc.constant(0) }),
    ),
    { maxLength: 60 },
  ),
])("whatever a guest writes, the card neither throws nor hangs, and lets go of all of it", async (steps) => {
  const { machine, nic, device } = await opened(new Loopback());
  for (const { what, at, value } of steps) {
    if (what === "write") machine.memory.writeU32(gpa(0x1_0000 + (at & ~3)), value);
    else if (what === "send") {
      nic.send(frame(OTHER, MAC, 14 + at), { describe: (header) => header.setUint32(at % 45, value, true) });
    } else if (what === "call") device.call(at, gpa(0x1_0000), value);
    else machine.turns.turn();
  }
  for (let i = 0; i < 100; i++) machine.turns.turn();
  expect(machine.faults).toEqual([]);
  machine.bridge[Symbol.dispose]();
  expect(machine.bridge.openHandles).toBe(0);
});
