import { LearningSwitch } from "@virtspace/network";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Vbus } from "../device/vbus.ts";
import { venetDevclass } from "../venet/devclass.ts";
import { type AdminEvent, VbusAdmin } from "./vbus-admin.ts";

let admin: VbusAdmin;
let network: LearningSwitch;
beforeEach(() => {
  network = new LearningSwitch();
  admin = new VbusAdmin();
  admin.register(venetDevclass(network));
});
afterEach(() => admin[Symbol.dispose]());

const SCRIPT = `
  # a card on a bus
  mkdir config/buses/guest
  mkdir config/devices/net0
  write config/devices/net0/type venet
  write config/devices/net0/client_mac 52:54:00:12:34:56
  link config/devices/net0 config/buses/guest`;

test("a bus, a device, its type and a link are made by paths, and drawn as a tree", () => {
  admin.run(SCRIPT);
  expect(`${admin}`).toBe(
    [
      "├─ config",
      "│  ├─ devices",
      "│  │  └─ net0",
      "│  │     ├─ type: venet",
      "│  │     ├─ client_mac: 52:54:00:12:34:56",
      "│  │     ├─ host_mac: 00:00:00:00:00:00",
      "│  │     ├─ ifname: net0",
      "│  │     ├─ enabled: 1",
      "│  │     ├─ burstthresh: 256",
      "│  │     ├─ txmitigation: 64",
      "│  │     └─ zcthresh: 0",
      "│  └─ buses",
      "│     └─ guest",
      "│        └─ net0 -> config/devices/net0",
      "└─ sys",
      "   └─ guest",
      "      └─ 1",
      "         ├─ name: net0",
      "         └─ type: virtual-ethernet",
      "",
    ].join("\n"),
  );
  expect([admin.read("/config/devices/net0/type"), admin.list("sys/guest"), admin.read("sys/guest/1/type")]).toEqual([
    "venet",
    ["1"],
    "virtual-ethernet",
  ]);
});

test("what comes, goes and is written is told", () => {
  const events: AdminEvent[] = [];
  const watching = admin.watch((event) => void events.push(event));
  admin.run(SCRIPT);
  admin.run("write config/devices/net0/enabled 0\nunlink config/buses/guest/net0\nrmdir config/devices/net0\nrmdir config/buses/guest");
  expect(events.map(({ action, path }) => `${action} ${path}`)).toEqual([
    "add config/buses/guest",
    "add config/devices/net0",
    "change config/devices/net0/type",
    "change config/devices/net0/client_mac",
    "add sys/guest/1",
    "add config/buses/guest/net0",
    "change config/devices/net0/enabled",
    "remove sys/guest/1",
    "remove config/buses/guest/net0",
    "remove config/devices/net0",
    "remove config/buses/guest",
  ]);
  watching[Symbol.dispose]();
  admin.mkdir("config/buses/again");
  expect(events.length).toBe(11);
});

describe("what can't be has the name of an errno", () => {
  beforeEach(() => admin.run(SCRIPT));
  test.for<[string, () => unknown, string]>([
    ["a second type", () => admin.write("config/devices/net0/type", "venet"), "EINVAL"],
    ["a bus that is there", () => admin.mkdir("config/buses/guest"), "EEXIST"],
    ["a folder where nobody makes any", () => admin.mkdir("sys/guest/2"), "EPERM"],
    ["a folder in a device", () => admin.mkdir("config/devices/net0/x"), "EPERM"],
    ["a name with a space", () => admin.mkdir("config/devices/net 1"), "EINVAL"],
    ["a second link", () => admin.link("config/devices/net0", "config/buses/guest"), "EBUSY"],
    ["a link to no bus", () => admin.link("config/devices/net0", "config/buses/none"), "ENOENT"],
    ["a link of no device", () => admin.link("config/devices/none", "config/buses/guest"), "ENOENT"],
    ["a device that is linked, taken down", () => admin.rmdir("config/devices/net0"), "EBUSY"],
    ["a bus with a device, taken down", () => admin.rmdir("config/buses/guest"), "EBUSY"],
    ["what is not there, taken down", () => admin.rmdir("config/devices/none"), "ENOENT"],
    ["an attribute that there is not", () => admin.write("config/devices/net0/colour", "red"), "ENOENT"],
    ["an attribute that can't be set", () => admin.write("config/devices/net0/zcthresh", "1"), "EPERM"],
    ["a value that makes no sense", () => admin.write("config/devices/net0/enabled", "maybe"), "EINVAL"],
    ["a link that there is not, taken away", () => admin.unlink("config/buses/guest/none"), "ENOENT"],
  ])("%s", ([, what, errno]) => {
    expect(what()).toBe(errno);
  });

  test("a type that nobody knows, and a link before there is one", () => {
    admin.mkdir("config/devices/x");
    expect([admin.write("config/devices/x/type", "disk"), admin.link("config/devices/x", "config/buses/guest")]).toEqual([
      "ENOENT",
      "EINVAL",
    ]);
  });

  test("paths that lead nowhere, into prototypes too", () => {
    expect(
      ["config/nothing", "config/devices/net0/type/x", "constructor", "config/devices/__proto__"].map((path) => admin.read(path)),
    ).toEqual(new Array(4).fill(undefined));
  });
});

test("a script says which line was refused, and which is none", () => {
  expect(() => admin.run("mkdir config/buses/a\nmkdir config/buses/a")).toThrow(
    expect.objectContaining({ code: "refused", message: '"mkdir config/buses/a" was refused: EEXIST' }),
  );
  expect(() => admin.run("chmod 777 config")).toThrow(expect.objectContaining({ code: "invalid-argument" }));
  expect(() => admin.register(venetDevclass(network))).toThrow(expect.objectContaining({ code: "invalid-argument" }));
});

test("what somebody else made is shown, and not taken down", () => {
  const bus = new Vbus({ name: "theirs" });
  const device = venetDevclass(network).create("card");
  bus.connect(device);
  admin.adoptBus("theirs", bus);
  admin.adoptDevice("card", device);
  expect([admin.list("config/buses/theirs"), admin.rmdir("config/buses/theirs"), admin.unlink("config/buses/theirs/card")]).toEqual([
    ["card"],
    "EPERM",
    "EPERM",
  ]);
  expect(() => admin.adoptBus("theirs", bus)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
  admin.release(device);
  admin[Symbol.dispose]();
  expect([bus.devices.length, admin.list("config/devices")]).toEqual([1, []]);
  bus.disconnect(device);
  device.put();
});
