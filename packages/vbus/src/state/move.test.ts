import { fc, test as property } from "@fast-check/vitest";
import { type VbusDeviceProxy, VenetNic } from "@virtspace/conformance";
import { BytesFrame, LearningSwitch, type NetworkBackend, NO_OFFLOAD_SUPPORT, writeHeader } from "@virtspace/network";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VbusConnection } from "../device/vbus-connection.ts";
import { VbusDevice } from "../device/vbus-device.ts";
import { VbusDeviceInterface } from "../device/vbus-device-interface.ts";
import { isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { Venet } from "../venet/venet.ts";
import { SgCapability, VenetCall } from "../venet/venet-abi.ts";
import { MovingGuest } from "./moving-scenarios.ts";

const [MAC, PEER] = [0x5254_0000_0001, 0x5254_0000_0002] as const;
const AT = 14;

let turns: Turns;
let stack: DisposableStack;
beforeEach(() => {
  turns = new Turns();
  stack = new DisposableStack();
});
afterEach(() => stack.dispose());

/** A frame with a number. */
function numbered(to: number, from: number, number: number): Uint8Array {
  const bytes = new Uint8Array(60);
  writeHeader(bytes, to, from, 0x88b5);
  new DataView(bytes.buffer).setUint32(AT, number);
  return bytes;
}
const numberOf = (frame: Uint8Array): number => new DataView(frame.buffer, frame.byteOffset).getUint32(AT);

/** What the guest talks with: it stays where it is. */
class Peer {
  readonly came: number[] = [];
  sent = 0;
  readonly #port;

  constructor(network: NetworkBackend) {
    this.#port = network.plug({
      name: "peer",
      accepts: NO_OFFLOAD_SUPPORT,
      receive: (frame) => {
        const bytes = new Uint8Array(frame.length);
        bytes.set(frame.memory(0).bytes.subarray(frame.offset(0), frame.offset(0) + frame.size(0)));
        this.came.push(numberOf(bytes));
        return true;
      },
      flush: () => {},
    });
    this.#port.onRoom(() => {});
  }

  /** Sends as many as are taken now. */
  send(count: number): void {
    for (let i = 0; i < count; i++) {
      if (!this.#port.send(new BytesFrame(numbered(MAC, PEER, this.sent)))) break;
      this.sent++;
    }
    this.#port.flush();
  }
}

const card = (network: NetworkBackend): VbusDevice => new Venet({ backend: network, mac: MAC, host: turns }).device;

describe.each([
  ["flat", { sg: 0, events: 0 }],
  ["in pieces, with events", { sg: SgCapability.sg, events: 3 }],
  ["with mapped headers and pages", { sg: SgCapability.sg | SgCapability.pmtd, events: 3, l4ro: SgCapability.sg }],
])("a guest that streams both ways, its frames %s", (_how, capabilities) => {
  property.prop(
    [fc.array(fc.record({ out: fc.nat(20), in: fc.nat(20), turns: fc.nat(4), move: fc.boolean() }), { minLength: 4, maxLength: 24 })],
    {
      numRuns: 40,
    },
  )("loses nothing and gets nothing twice, however often it moves", async (steps) => {
    const network = new LearningSwitch({ whenFull: "wait" });
    const peer = new Peer(network);
    using moving = new MovingGuest(turns, [card(network)]);
    moving.guest.start();
    await moving.settle();
    const came: number[] = [];
    const nic = new VenetNic(moving.guest.devices.get(1n) as VbusDeviceProxy, {
      ...{ size: 16, capabilities },
      onFrame: (frame) => void came.push(numberOf(frame)),
    });
    expect([nic.open(), nic.call(VenetCall.linkUp)]).toEqual([0, 0]);
    nic.send(numbered(PEER, MAC, 0)); // the switch has to know where it is
    await moving.settle();
    let sent = 1;
    let moves = 0;
    for (const step of steps) {
      peer.send(step.in);
      for (let i = 0; i < step.out && nic.send(numbered(PEER, MAC, sent)); i++) sent++;
      for (let i = 0; i < step.turns; i++) turns.turn();
      if (!step.move) continue;
      moving.move(`host ${++moves}`, () => [card(network)]);
      await moving.settle();
      nic.send(numbered(PEER, MAC, sent++)); // after a move a card announces where it is, as they all do
      await moving.settle();
    }
    await moving.settle();
    peer.send(1);
    await moving.settle();
    expect(peer.came).toEqual(Array.from({ length: sent }, (_, i) => i));
    expect(came).toEqual(Array.from({ length: peer.sent }, (_, i) => i));
    expect(moving.host.faults).toEqual([]);
  });
});

/** A device that adds, and says how much it was told so far. */
function adder(name = "adder"): VbusDevice {
  const shown = new VbusDeviceInterface(name, "adder", {
    connect: () => {
      let sum = 0;
      return new VbusConnection({
        call: (func) => (sum += func),
        shm: () => "ENOSYS",
        close: () => {},
        save: () => sum,
        restore: (state) => {
          if (typeof state !== "number") return "EINVAL";
          sum = state;
          return 0;
        },
      });
    },
  });
  return new VbusDevice(name, {
    busConnect: (port) => {
      const id = port.add(shown);
      return isErrno(id) ? id : 0;
    },
    busDisconnect: (port) => port.remove(shown),
  });
}

// #region handles
test("handles and what devices were told are the same in the new place", async () => {
  const moving = stack.use(new MovingGuest(turns, [adder()]));
  moving.guest.start();
  await moving.settle();
  const device = moving.guest.devices.get(1n) as VbusDeviceProxy;
  expect([device.open(1), device.call(40, 0 as never, 0)]).toEqual([0, 40]);
  moving.move("second", () => [adder()]);
  await moving.settle();
  expect([device.call(2, 0 as never, 0), device.close(), moving.host.bridge.openHandles]).toEqual([42, 0, 0]);
});
// #endregion handles

test("what is not in the new place is gone for the guest, and what is new there is told", async () => {
  const moving = stack.use(new MovingGuest(turns, [adder("one"), adder("two")]));
  const gone: bigint[] = [];
  moving.guest.register({ type: "adder", probe: () => {}, remove: ({ id }) => void gone.push(id) });
  moving.guest.start();
  await moving.settle();
  const [one, two] = [1n, 2n].map((id) => moving.guest.devices.get(id)) as [VbusDeviceProxy, VbusDeviceProxy];
  expect([one.open(1), two.open(1)]).toEqual([0, 0]);
  moving.move("second", () => [adder("two"), adder("three")]);
  await moving.settle();
  expect([gone, [...moving.guest.devices.keys()], one.call(1, 0 as never, 0), two.call(7, 0 as never, 0)]).toEqual([
    [1n],
    [2n, 3n],
    "ENODEV",
    7,
  ]);
  expect(one.close()).toBe(0);
});

// #region backlog
test("events that had no room come in the new place", async () => {
  const moving = stack.use(new MovingGuest(turns, [adder("0")], { events: 2, queues: 1 }));
  moving.guest.start();
  await moving.settle();
  const interrupt = moving.guest.interrupt.bind(moving.guest);
  moving.guest.interrupt = () => {};
  for (let i = 1; i < 9; i++) moving.host.bus.connect(adder(`${i}`));
  await moving.settle();
  expect([moving.guest.devices.size, moving.host.bridge.backlog[0]?.length]).toEqual([1, 6]);
  moving.move("second", () => Array.from({ length: 9 }, (_, i) => adder(`${i}`)));
  moving.guest.interrupt = interrupt;
  interrupt(0);
  await moving.settle();
  expect([...moving.guest.devices.keys()]).toEqual(Array.from({ length: 9 }, (_, i) => BigInt(i + 1)));
});
// #endregion backlog

test("an interrupt that the old host sent and nobody saw is sent again", async () => {
  const moving = stack.use(new MovingGuest(turns, [adder()]));
  moving.guest.start();
  await moving.settle();
  const interrupt = moving.guest.interrupt.bind(moving.guest);
  moving.guest.interrupt = () => {};
  moving.host.bus.connect(adder("late"));
  await moving.settle();
  moving.guest.interrupt = interrupt;
  moving.move("second", () => [adder(), adder("late")]);
  await moving.settle();
  expect(moving.guest.devices.size).toBe(2);
});

test("what people set of a device goes with it", async () => {
  const network = new LearningSwitch();
  const moving = stack.use(new MovingGuest(turns, [card(network)]));
  moving.host.bus.devices[0]?.attributes.get("txmitigation")?.store?.("7");
  moving.move("second", () => [card(network)]);
  expect(moving.host.bus.devices[0]?.attributes.get("txmitigation")?.show()).toBe("7");
});

describe("a state is a file", () => {
  test("that a bus with guests, or a bridge with one, doesn't take", async () => {
    const moving = stack.use(new MovingGuest(turns, [adder()]));
    moving.guest.start();
    await moving.settle();
    const busy = expect.objectContaining({ code: "busy" });
    expect(() => moving.host.bus.restore(moving.host.bus.save())).toThrow(busy);
    const other = stack.use(new MovingGuest(turns, [adder()]));
    const state = other.host.bridge.save();
    expect(() => moving.host.bridge.restore(state)).toThrow(busy);
  });

  property.prop([
    fc.object({ maxDepth: 3 }),
    fc.array(fc.tuple(fc.nat(30), fc.oneof(fc.integer(), fc.string(), fc.constant(null))), { maxLength: 4 }),
  ])("that may hold anything: it is refused by name, or what makes no sense in it is gone for the guest", async (junk, changes) => {
    const moving = new MovingGuest(turns, [card(new LearningSwitch()), adder()]);
    moving.guest.start();
    await moving.settle();
    const nic = new VenetNic(moving.guest.devices.get(1n) as VbusDeviceProxy, { size: 16 });
    nic.open();
    const luggage = moving.host.save();
    moving.host[Symbol.dispose]();
    moving.host = moving.hostWith("second", [card(new LearningSwitch()), adder()]);
    const leaves: [object, string][] = [];
    const visit = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      for (const key of Object.keys(value)) {
        leaves.push([value, key]);
        visit((value as Record<string, unknown>)[key]);
      }
    };
    visit(luggage.bridge);
    for (const [at, value] of changes) {
      const [owner, key] = leaves[(at * 7) % leaves.length] as [object, string];
      Object.assign(owner, { [key]: value });
    }
    for (const state of [luggage.bridge, junk]) {
      try {
        moving.host.bridge.restore(state);
      } catch (error) {
        expect(VbusError.is(error)).toBe(true);
      }
    }
    for (let i = 0; i < 50; i++) turns.turn();
    expect(moving.host.faults).toEqual([]);
    moving[Symbol.dispose]();
    expect(moving.host.bridge.openHandles).toBe(0);
  });
});
