/** How a driver's author finds out what his driver does about a device that lies: each of its lies, in a test of a millisecond. */
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { silentLogger, VirtioDeviceType, VirtioFeature, VirtioMmio, type VirtioPlugin } from "@virtspace/virtio";
import { afterEach, describe, expect, test } from "vitest";
import device from "./device.ts";
import { EntropyDriver, readConfig } from "./entropy-driver.ts";
import { hostileDevice } from "./hostile-device.ts";
import { breakDown, claim, keep, type Move, misname, serve } from "./moves.ts";
import { ShiftingConfig } from "./shifting-config.ts";

const REGISTERS = gpa(0xd000_0000);
const BYTES = new Uint8Array(16).fill(0xaa);

const open: Disposable[] = [];
afterEach(() => {
  for (const each of open.splice(0).reverse()) each[Symbol.dispose]();
});

function machineWith(plugin: VirtioPlugin): VirtAddressSpace {
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const made = plugin.create({ machine: "guest", random: () => {}, log: silentLogger });
  const mmio = new VirtioMmio({ space, base: REGISTERS, device: made, interrupt: () => {} });
  open.push(space, mmio);
  return space;
}

const entropy = (...script: Move[]): VirtioPlugin =>
  hostileDevice({ type: VirtioDeviceType.Entropy, script, honest: (chain) => chain.fill((bytes) => bytes.fill(0xaa)) });

describe.each([
  ["split", []],
  ["packed", [VirtioFeature.RingPacked]],
])("on a %s ring, a device that", (_layout, layout) => {
  test.each<[string, Move, string]>([
    ["says that it wrote all of the memory", claim(2 ** 32 - 1), "too-long"],
    ["says that it wrote a byte more than it could", claim(17), "too-long"],
    ["gives back what it never had", misname(63), "unknown-buffer"],
    ["gives back what can't be", misname(0xfffe), "unknown-buffer"],
    ["never answers", keep, "no-answer"],
    ["gives up", breakDown, "needs-reset"],
  ])("%s is found out, and of use again after a reset", async (_what, move, fault) => {
    const space = machineWith(entropy(serve, move));
    const driver = new EntropyDriver(space, REGISTERS);
    driver.start(...layout);
    expect(await driver.read(16)).toEqual(BYTES);
    expect(await driver.read(16)).toBe(fault);
    driver.start(...layout);
    expect(await driver.read(16)).toEqual(BYTES);
  });

  test("says that it wrote less than it did is believed: that harms nobody", async () => {
    const space = machineWith(entropy(claim(3), claim(0)));
    const driver = new EntropyDriver(space, REGISTERS);
    driver.start(...layout);
    expect([await driver.read(16), await driver.read(16)]).toEqual([BYTES.subarray(0, 3), new Uint8Array(0)]);
  });
});

describe("a configuration that changes while it is read", () => {
  const VALUES = [0x1111_1111_1111_1111n, 0x2222_2222_2222_2222n, 0x3333_3333_3333_3333n];

  function shifting(values: Iterable<bigint>): VirtAddressSpace {
    const config = (): ShiftingConfig => new ShiftingConfig(values);
    const space = machineWith(hostileDevice({ type: VirtioDeviceType.Block, script: [], honest: () => {}, config }));
    new EntropyDriver(space, REGISTERS).start();
    return space;
  }

  test("is read as one of its values, and never as half of each", () => {
    expect(readConfig(shifting(VALUES), REGISTERS)).toBe(VALUES[2]);
  });

  test("is given up where it never stands still", () => {
    function* endless(): Generator<bigint> {
      for (let value = 0n; ; value++) yield value;
    }
    expect(readConfig(shifting(endless()), REGISTERS)).toBeUndefined();
  });

  test("is mixed up by a driver that doesn't look", () => {
    const space = shifting(VALUES);
    const [low, high] = [space.readU32(gpa(REGISTERS + 0x100)), space.readU32(gpa(REGISTERS + 0x104))];
    expect([low, high]).toEqual([0x1111_1111, 0x2222_2222]);
  });
});

describe("a script in the environment", () => {
  afterEach(() => void delete process.env["HOSTILE"]);

  test("is what the command's device does", async () => {
    process.env["HOSTILE"] = "serve,claim:17";
    const driver = new EntropyDriver(machineWith(device()), REGISTERS);
    driver.start();
    expect([await driver.read(16), await driver.read(16)]).toEqual([BYTES, "too-long"]);
  });

  test("that names no move says which there are", () => {
    process.env["HOSTILE"] = "explode";
    expect(() => device()).toThrow('there is no move "explode": name some of serve, claim, misname, keep, break in HOSTILE');
  });
});
