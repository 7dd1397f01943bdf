import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, Register, silentLogger, type VirtioDevice, VirtioFeature, VirtioMmio } from "@virtspace/virtio";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { echo } from "./device.ts";

const REGISTERS = gpa(0xd000_0000);
const CONFIG = gpa(REGISTERS + 0x100);
const CALL = gpa(0x2_0000);
const ANSWER = gpa(0x3_0000);

let stack: DisposableStack;
let space: VirtAddressSpace;
let device: VirtioDevice;
let mmio: VirtioMmio;
let driver: MmioDriver;
let calls: RingDriver;
beforeEach(() => {
  stack = new DisposableStack();
  space = stack.use(VirtAddressSpace.create({ name: "guest" }));
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  device = echo({ delay: 5 }).create({ machine: "guest", random: () => {}, log: silentLogger });
  mmio = stack.use(new VirtioMmio({ space, base: REGISTERS, device, interrupt: () => {} }));
  driver = new MmioDriver(space, REGISTERS);
  driver.negotiate(FeatureSet.of(VirtioFeature.Version1));
  calls = driver.startQueue(0, gpa(0x1_0000));
  driver.ready();
});
afterEach(() => stack.dispose());

function call(text: string, length = text.length): void {
  space.copyTo(CALL, new TextEncoder().encode(text));
  calls.add([{ address: CALL, length }], [{ address: ANSWER, length: 16 }]);
  calls.publish();
  driver.notify(0);
}

// #region tests
describe("the echo device", () => {
  test("answers later, and counts its answers", async () => {
    call("hello");
    expect(calls.used()).toBeUndefined();
    await expect.poll(() => calls.used()).toEqual({ id: expect.any(Number), written: 5 });
    const bytes = new Uint8Array(5);
    space.copyFrom(ANSWER, bytes);
    expect([new TextDecoder().decode(bytes), space.readU32(CONFIG)]).toEqual(["HELLO", 1]);
  });

  test("gives a call that is too long back", async () => {
    call("", 8192);
    await expect.poll(() => calls.used()).toEqual({ id: expect.any(Number), written: 0 });
  });

  test("leaves a driver alone that begins anew meanwhile", async () => {
    call("hello");
    await new Promise((resolve) => setTimeout(resolve, 1));
    driver.write(Register.Status, 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([space.readU32(CONFIG), space.readU8(ANSWER)]).toEqual([0, 0]);
  });

  test("loses its queue, and nothing else, to a driver that breaks a rule", async () => {
    calls.add([{ address: gpa(0x7000_0000), length: 8 }], []); // there is nothing
    calls.publish();
    driver.notify(0);
    await expect.poll(() => mmio.runner.queue(0)?.fault).toEqual({ code: "unmapped", queue: 0, value: 0x7000_0000 });
  });

  test("goes on where it was saved", async () => {
    call("hello");
    await expect.poll(() => calls.used()).toBeDefined();
    expect(device.save?.()).toBe(1);
    expect(() => device.restore?.("many")).toThrow();
  });
});
// #endregion tests
