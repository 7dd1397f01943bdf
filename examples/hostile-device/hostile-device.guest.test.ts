/** Linux's own driver of entropy devices, and one that lies: the kernel lives on, says what it found, and drives it again after a reset. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { Guest } from "../../.config/guest/guest.ts";
import { servedDevice } from "../../.config/guest/served-device.ts";

const DEVICE = join(import.meta.dirname, "device.ts");
const READ = "timeout 2 head -c 256 /dev/hwrng | xxd -p";
/** The driver lets go of the device, which resets it, and takes it again. */
const RESTART = "cd /sys/bus/virtio/drivers/virtio_rng && device=$(echo virtio*) && echo $device >unbind && echo $device >bind";
const HONEST = "aa".repeat(256);

test.each([
  ["gives back what it never had", "misname:2", "virtio_rng virtio0: input:id 2 is not a head!"],
  ["gives back what can't be", "misname:999", "virtio_rng virtio0: input:id 999 out of range"],
  ["never answers", "keep", ""],
  ["says that it wrote nothing", "claim:0", ""],
  ["gives up", "break", ""],
])("a device that %s", async (_what, script, found) => {
  // Nobody takes up again what a device has that lies about it.
  await using served = await servedDevice(DEVICE, { HOSTILE: script }, ["--no-journal"]);
  await using guest = await Guest.start({ qemu: served.qemu("vhost-user-rng", "q35") });
  await guest.check("modprobe virtio_rng");
  expect((await guest.run(READ)).output).not.toContain("aa");
  expect(await guest.check("dmesg")).toContain(found);
  await guest.check(RESTART);
  expect((await guest.check(READ)).replaceAll("\n", "")).toBe(HONEST);
  expect(await guest.check("dmesg")).not.toMatch(/Oops|BUG|WARNING|Call Trace/);
});

test("a device that says it wrote all of the memory is believed no more than its buffer holds", async () => {
  await using served = await servedDevice(DEVICE, { HOSTILE: "claim:4294967295,claim:65" }, ["--no-journal"]);
  await using guest = await Guest.start({ qemu: served.qemu("vhost-user-rng", "q35") });
  await guest.check("modprobe virtio_rng");
  expect((await guest.check(READ)).replaceAll("\n", "")).toBe(HONEST);
  expect(await guest.check("dmesg")).not.toMatch(/Oops|BUG|WARNING|Call Trace/);
});
