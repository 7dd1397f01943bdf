/** A driver against a device that lies. */
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { defineDevice, silentLogger, VirtioDeviceType, VirtioMmio } from "@virtspace/virtio";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NumberDriver } from "./number-driver.ts";
import { PlayedQueue } from "./played-queue.ts";

// #region set-up
const REGISTERS = gpa(0xd000_0000);
/** It has registers, and does nothing: what is done, the test does. */
const puppet = defineDevice({
  name: "puppet",
  type: VirtioDeviceType.Entropy,
  queues: [{ name: "requests", size: 8 }],
  start: () => {},
});

let stack: DisposableStack;
let space: VirtAddressSpace;
let driver: NumberDriver;
let device: PlayedQueue;
beforeEach(() => {
  stack = new DisposableStack();
  space = stack.use(VirtAddressSpace.create({ name: "guest" }));
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const made = puppet.create({ machine: "guest", random: () => {}, log: silentLogger });
  const mmio = stack.use(new VirtioMmio({ space, base: REGISTERS, device: made, interrupt: () => {} }));
  driver = new NumberDriver(space, REGISTERS);
  const [rings] = mmio.save().queues; // the device lets go of its queue, and says where its rings are
  if (rings === undefined) throw new Error("the device has no queue");
  device = new PlayedQueue(space, rings);
});
afterEach(() => stack.dispose());
// #endregion set-up

/** Takes the buffer that the driver asked to be filled. */
function asked(): { id: number; address: number; length: number } {
  driver.ask();
  const buffer = device.take();
  if (buffer === undefined) throw new Error("the driver asked for nothing");
  return buffer;
}

describe("the driver", () => {
  // #region cases
  test("takes numbers from a device that is honest", () => {
    const { id, address } = asked();
    space.copyTo(gpa(address), Uint8Array.of(1, 2, 3));
    device.giveBack(id, 3);
    expect([driver.numbers(), driver.broken]).toEqual([Uint8Array.of(1, 2, 3), undefined]);
  });

  test("believes no length that is more than there is room for", () => {
    device.giveBack(asked().id, 0xffff_ffff);
    expect([driver.numbers(), driver.broken]).toEqual([undefined, "the device says that it wrote 4294967295 bytes of 16"]);
  });

  test.each([7, 8, 0xffff_ffff])("believes no buffer that the device did not have (%i)", (id) => {
    asked();
    device.giveBack(id, 16);
    expect([driver.numbers(), driver.broken]).toEqual([undefined, `the device gave back ${id}, which it did not have`]);
  });

  test("believes no buffer a second time", () => {
    const { id } = asked();
    device.giveBack(id, 16);
    device.giveBack(id, 16);
    expect(driver.numbers()).toHaveLength(16);
    expect([driver.numbers(), driver.broken]).toEqual([undefined, `the device gave back ${id}, which it did not have`]);
  });

  test("ends with an index that jumps, and does not loop", () => {
    const { id } = asked();
    device.giveBack(id, 16);
    device.showIndex(0x8000);
    let rounds = 0;
    while (driver.numbers() !== undefined) rounds++;
    expect([rounds, driver.broken]).toEqual([1, expect.stringContaining("which it did not have")]);
  });

  test("keeps what it took from a device that writes on", () => {
    const { id, address } = asked();
    space.fill(gpa(address), 16, 1);
    device.giveBack(id, 16);
    const numbers = driver.numbers();
    space.fill(gpa(address), 16, 0xee);
    expect(numbers).toEqual(new Uint8Array(16).fill(1));
  });

  test("waits for a device that is silent, and is not stuck", () => {
    asked();
    expect([driver.numbers(), driver.broken]).toEqual([undefined, undefined]);
  });
  // #endregion cases
});
