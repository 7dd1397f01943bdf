import { gpa, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { VbusClient } from "../client/vbus-client.ts";
import { type CallResult, type ErrnoName, isErrno } from "../errno/errno.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import { Vbus, type VbusFault } from "./vbus.ts";
import { VbusConnection } from "./vbus-connection.ts";
import { VbusDevice, type VbusPort } from "./vbus-device.ts";
import { VbusDeviceInterface } from "./vbus-device-interface.ts";

const [DATA, SHARED] = [0x1000, 0x2000] as const;

let space: VirtAddressSpace;
let turns: Turns;
let faults: VbusFault[];
let said: string[];
let bus: Vbus;
let client: VbusClient;
beforeEach(() => {
  space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(0x1_0000) });
  turns = new Turns();
  [faults, said] = [[], []];
  bus = new Vbus({ name: "bus", onFault: (fault) => void faults.push(fault) });
  const signalled = ({ prio, cookie }: { prio: number; cookie: bigint }): void => void said.push(`signal ${prio} ${cookie}`);
  client = new VbusClient({ bus, memctx: new VbusMemctx(space), signalled, host: turns });
});

interface Echo {
  readonly device: VbusDevice;
  /** The last memory and signal that it was given. */
  shm?: VbusShm;
  signal?: ShmSignal | undefined;
}

/** A device that adds one to a word of the guest's. */
function echo(
  change: { readonly call?: () => CallResult; readonly shm?: () => CallResult; readonly connect?: () => ErrnoName } = {},
): Echo {
  const connection = (memctx: VbusMemctx): VbusConnection =>
    new VbusConnection({
      call: (func, data, len) => {
        if (change.call !== undefined) return change.call();
        const bytes = new Uint8Array(len);
        if (memctx.copyFrom(bytes, data) > 0) return "EFAULT";
        bytes[0] = (bytes[0] as number) + 1;
        memctx.copyTo(data, bytes);
        return func;
      },
      shm: (_id, shm, signal) => {
        if (change.shm !== undefined) return change.shm();
        made.shm = shm.get();
        made.signal = signal;
        return 0;
      },
      close: () => void said.push("close"),
      release: () => {
        said.push("release");
        made.shm?.put();
      },
    });
  const shown = new VbusDeviceInterface("echo0", "echo", {
    connect: (memctx, version) => change.connect?.() ?? (version === 1 ? connection(memctx) : "EINVAL"),
    release: () => void said.push("interface gone"),
  });
  const made: Echo = {
    device: new VbusDevice("echo", {
      busConnect: (port: VbusPort) => {
        const id = port.add(shown);
        return isErrno(id) ? id : 0;
      },
      busDisconnect: (port: VbusPort) => port.remove(shown),
      release: () => void said.push("device gone"),
    }),
  };
  return made;
}

const open = (device: Echo): number => {
  expect(bus.connect(device.device)).toBe(0);
  const handle = client.deviceopen(bus.entries.at(-1)?.id as number, 1);
  expect(handle).toBeTypeOf("number");
  return handle as number;
};

test("a guest opens a device by its number, calls it, and closes it", () => {
  const handle = open(echo());
  space.writeU8(gpa(DATA), 41);
  expect([client.devicecall(handle, 7, DATA, 4, 0), space.readU8(gpa(DATA))]).toEqual([7, 42]);
  expect([client.devicecall(handle, 7, 0x2_0000, 4, 0), client.deviceclose(handle), client.deviceclose(handle)]).toEqual([
    "EFAULT",
    0,
    "ENOENT",
  ]);
  expect([client.devicecall(handle, 7, DATA, 4, 0), said, client.openHandles]).toEqual(["ENOENT", ["close", "release"], 0]);
});

test("a version that a device doesn't know, and a number that nobody has", () => {
  bus.connect(echo().device);
  expect([client.deviceopen(1, 2), client.deviceopen(2, 1), client.openHandles]).toEqual(["EINVAL", "ENOENT", 0]);
});

test("a device is on one bus, and has its references", () => {
  const other = new Vbus({ name: "other" });
  const { device } = echo();
  expect([bus.connect(device), bus.connect(device), other.connect(device), device.connected]).toEqual([0, "EBUSY", "EBUSY", true]);
  other.disconnect(device);
  device.put();
  expect(said).toEqual([]);
  bus.disconnect(device);
  bus.disconnect(device);
  expect([said, device.connected, bus.entries, bus.devices]).toEqual([["interface gone", "device gone"], false, [], []]);
  expect(() => device.get()).toThrow(expect.objectContaining({ code: "released" }));
});

test("numbers are given once, and come to an end", () => {
  const small = new Vbus({ name: "small", lastId: 2 });
  const devices = [echo(), echo(), echo()].map(({ device }) => device);
  expect(devices.map((device) => small.connect(device))).toEqual([0, 0, "ENOSPC"]);
  small.disconnect(devices[0] as VbusDevice);
  expect([small.connect(devices[2] as VbusDevice), devices[2]?.connected]).toEqual(["ENOSPC", false]);
});

test("who listens is told of what is there, what comes and what goes", () => {
  const events: string[] = [];
  const first = echo();
  bus.connect(first.device);
  const listening = bus.listen(({ kind, id, shown }) => void events.push(`${kind} ${id} ${shown.type}`));
  bus.connect(echo().device);
  bus.disconnect(first.device);
  listening[Symbol.dispose]();
  bus.connect(echo().device);
  expect(events).toEqual(["devadd 1 echo", "devadd 2 echo", "devdrop 1 echo"]);
});

describe("shared memory", () => {
  const signal = { offset: 16, prio: 3, cookie: 0xdead_beefn };
  const format = (): void => {
    const shm = new VbusMemctx(space).shm(SHARED, 64) as VbusShm;
    ShmSignal.format(shm, 16);
    shm.put();
  };

  test("comes with a signal that goes both ways", () => {
    format();
    const device = echo();
    const handle = open(device);
    const signalHandle = client.deviceshm(handle, 5, SHARED, 64, 0, signal);
    expect([signalHandle, client.openHandles]).toEqual([handle + 1, 2]);
    let heard = 0;
    if (device.signal !== undefined) device.signal.listener = () => void heard++;
    device.signal?.enable();
    space.writeU8(gpa(SHARED + 16 + 13), 1);
    expect(client.shmsignal(signalHandle as number)).toBe(0);
    turns.settle();
    expect(heard).toBe(1);
    space.writeU8(gpa(SHARED + 16 + 8), 1);
    device.signal?.inject();
    expect(said).toEqual(["signal 3 3735928559"]);
    expect([client.deviceclose(handle), client.shmsignal(signalHandle as number), client.openHandles]).toEqual([0, "ENOENT", 0]);
    expect(device.shm?.window.valid).toBe(false);
  });

  test("without a signal has no handle", () => {
    const device = echo();
    expect([client.deviceshm(open(device), 5, SHARED, 64, 0), device.signal]).toEqual([0, undefined]);
  });

  test.each([
    ["no memory", 0x9_0000, 64, "EFAULT"],
    ["none of its own", SHARED, 0, "EINVAL"],
    ["a fraction of it", SHARED, 1.5, "EINVAL"],
    ["memory past its region's end", 0xfff0, 64, "EINVAL"],
    ["no address", 2 ** 60, 64, "EINVAL"],
    ["a huge piece", SHARED, 2 ** 40, "EINVAL"],
    ["no signal there", SHARED + 64, 64, "EINVAL"],
    ["a signal that leads out of it", SHARED, 31, "EINVAL"],
  ])("is refused: %s", (_what, ptr, len, why) => {
    format();
    const device = echo();
    expect([client.deviceshm(open(device), 5, ptr, len, 0, signal), device.shm, client.openHandles]).toEqual([why, undefined, 1]);
  });

  test("in ROM, across regions and in an I/O window is refused", () => {
    const rom = sharedMemory(0x1000);
    space.map({ kind: "rom", name: "rom", base: gpa(0x10_0000), memory: rom });
    space.map({ kind: "io", name: "io", base: gpa(0x20_0000), size: 0x1000, handler: { read: () => 0, write: () => {} } });
    space.map({ name: "more", base: gpa(0x1_0000), memory: sharedMemory(0x1000) });
    const handle = open(echo());
    expect([0x10_0000, 0x20_0000, 0xfff0].map((ptr) => client.deviceshm(handle, 5, ptr, 64, 0))).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
  });

  test("that a device refuses is given back", () => {
    format();
    const device = echo({ shm: () => "EEXIST" });
    expect([client.deviceshm(open(device), 5, SHARED, 64, 0, signal), client.openHandles]).toEqual(["EEXIST", 1]);
    expect(space.unmap(space.regions[0] as never)).toBeInstanceOf(Promise);
  });
});

describe("a device that goes while it is open", () => {
  test("is closed; its handle answers ENODEV until the guest closes it", () => {
    const device = echo();
    const handle = open(device);
    bus.disconnect(device.device);
    expect([said, client.devicecall(handle, 0, DATA, 4, 0), client.deviceshm(handle, 0, SHARED, 64, 0)]).toEqual([
      ["close", "interface gone"],
      "ENODEV",
      "ENODEV",
    ]);
    expect([client.deviceclose(handle), said.at(-1), client.openHandles]).toEqual([0, "release", 0]);
  });

  test("and a guest that goes leaves nothing open", () => {
    open(echo());
    open(echo());
    client[Symbol.dispose]();
    client[Symbol.dispose]();
    expect([said, client.openHandles]).toEqual([["close", "release", "close", "release"], 0]);
  });
});

test("a device that throws is EIO for the guest, and a fault for the bus's owner", () => {
  const broken = (): never => {
    throw new Error("broken");
  };
  const handle = open(echo({ call: broken, shm: broken }));
  expect([client.devicecall(handle, 0, 0, 0, 0), client.deviceshm(handle, 0, SHARED, 64, 0)]).toEqual(["EIO", "EIO"]);
  bus.connect(echo({ connect: broken }).device);
  expect([client.deviceopen(2, 1), faults.map(({ name, cause }) => [name, String(cause)])]).toEqual([
    "EIO",
    [
      ["echo0", "Error: broken"],
      ["echo0", "Error: broken"],
      ["echo0", "Error: broken"],
    ],
  ]);
});

test("what a guest has open has a limit", () => {
  open(echo());
  let last: CallResult = 0;
  for (let i = 0; i < 5000; i++) last = client.deviceopen(1, 1);
  expect([last, client.openHandles]).toEqual(["ENOSPC", 4096]);
});

test("forged handles are nobody's", () => {
  const handle = open(echo());
  for (const forged of [0, -1, handle + 1, 0.5, Number.NaN, 2 ** 53])
    expect([
      client.devicecall(forged, 0, 0, 0, 0),
      client.deviceclose(forged),
      client.deviceshm(forged, 0, 0, 0, 0),
      client.shmsignal(forged),
    ]).toEqual(["ENOENT", "ENOENT", "ENOENT", "ENOENT"]);
  expect(client.shmsignal(handle)).toBe("ENOENT");
});
