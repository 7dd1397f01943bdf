/** The device in a real Linux guest, which has it as /dev/hwrng. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { Guest } from "../../.config/guest/guest.ts";
import { servedDevice } from "../../.config/guest/served-device.ts";

const DEVICE = join(import.meta.dirname, "device.ts");

test.each(["q35", "microvm"] as const)("Linux on a %s reads numbers from it, and no two alike", async (machine) => {
  await using served = await servedDevice(DEVICE);
  await using guest = await Guest.start({ machine, qemu: served.qemu("vhost-user-rng", machine) });
  await guest.check("modprobe virtio_rng");
  expect(await guest.check("cat /sys/class/misc/hw_random/rng_current")).toMatch(/^virtio_rng/);
  const read = (): Promise<string> => guest.check("head -c 4096 /dev/hwrng | sha256sum");
  expect(new Set([await read(), await read(), await read()]).size).toBe(3);
  // About as many zeros as chance has among so many bytes: 256, and not even twice that.
  const zeros = Number(await guest.check("head -c 65536 /dev/hwrng | tr -cd '\\000' | wc -c", { timeout: 60_000 }));
  expect(zeros).toBeGreaterThan(128);
  expect(zeros).toBeLessThan(512);
  expect(served.said).toContain("guest 1 joined");
  expect(served.said).not.toMatch(/warning|error/);
});
