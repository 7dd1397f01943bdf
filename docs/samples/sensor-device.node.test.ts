/** The sample of what comes in, in "Write your first device". */
// #region suite
import { deviceSuite, MmioDriver } from "@virtspace/conformance";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, silentLogger, VirtioFeature, VirtioMmio } from "@virtspace/virtio";
import { expect, test } from "vitest";
import { sensor } from "./sensor-device.ts";

deviceSuite({ name: "a sensor", plugin: () => sensor(() => () => {}), keeps: ["values"] });
// #endregion suite

test("values come in the buffers that were posted, once it is switched on, and wait for more", async () => {
  let say: (value: number) => void = () => {};
  const plugin = sensor((listener) => {
    say = listener;
    return () => {};
  });
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const device = plugin.create({ machine: "guest", random: () => {}, log: silentLogger });
  using _mmio = new VirtioMmio({ space, base: gpa(0xd000_0000), device, interrupt: () => {} });
  const driver = new MmioDriver(space, gpa(0xd000_0000));
  driver.negotiate(FeatureSet.of(VirtioFeature.Version1));
  const values = driver.startQueue(0, gpa(0x1_0000));
  driver.ready();
  const post = (address: number): void => {
    values.add([], [{ address: gpa(address), length: 4 }]);
    values.publish();
    driver.notify(0);
  };
  post(0x2_0000);
  say(7);
  expect(values.used()).toBeUndefined();
  space.writeU32(gpa(0xd000_0100), 1);
  say(8);
  say(9);
  await expect.poll(() => values.used()?.written).toBe(4);
  expect(space.readU32(gpa(0x2_0000))).toBe(8);
  expect(values.used()).toBeUndefined();
  post(0x2_0010);
  await expect.poll(() => values.used()?.written).toBe(4);
  expect(space.readU32(gpa(0x2_0010))).toBe(9);
});
