import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { gpa, MiB, SharedNotifier, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { expect, test } from "vitest";

test("a thread that blocks lets go of what is unmapped", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const ram = space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  using wake = new SharedNotifier();
  const worker = new Worker(new URL("./blocking.worker.ts", import.meta.url));
  const descriptor = space.descriptor();
  worker.postMessage({ descriptor, waker: wake.share() }, descriptor.transfer);
  await once(worker, "message");
  wake.signal();
  await expect.poll(() => space.readU32(gpa(0x1000))).toBeGreaterThan(0);
  const exited = once(worker, "exit");
  await space.unmap(ram);
  expect(space.regions).toEqual([]);
  await exited;
});
