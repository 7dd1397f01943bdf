/**
 * The story of the 2009 thread: an address space is created, populated and passed to two modules that know nothing of
 * each other, nor of whoever made it.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { gpa, KiB, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import type { DisplayOptions } from "./display.worker.ts";
import { startSensor } from "./sensor.ts";

const RING = gpa(0x1000);
const DOORBELL = gpa(0x1000_0000);

// #region create
// Create and populate. No hypervisor is needed for that, and none is here.
const space = VirtAddressSpace.create({ name: "guest" });
const memory = sharedMemory(16 * MiB);
const ram = space.map({ name: "ram", base: gpa(0), memory });
space.map({ name: "video", base: gpa(0x8000_0000), memory: sharedMemory(256 * KiB) });

console.log("memory map");
for (const { start, end, region } of space.view().ranges) {
  console.log(`  0x${start.toString(16).padStart(8, "0")} - 0x${(end - 1).toString(16).padStart(8, "0")}  ${region.kind}  ${region.name}`);
}

// Pass it: to one module in a worker ...
const worker = new Worker(new URL("./display.worker.ts", import.meta.url));
const forDisplay: DisplayOptions = { space: space.descriptor(), ring: RING, doorbell: DOORBELL };
worker.postMessage(forDisplay, forDisplay.space.transfer);
const [ready] = await once(worker, "message");
if (ready !== "ready") throw new Error(`the display said "${ready}" instead of "ready"`);
let lines = 0;
worker.on("message", (line: string) => {
  lines++;
  console.log(`  ${line}`);
});
// #endregion create

// ... and to one in this thread.
console.log("the sensor writes, the display reads, through a ring at 0x1000");
const readings = 12;
const sensor = await startSensor({
  space: space.descriptor(),
  ring: RING,
  doorbell: DOORBELL,
  readings,
  onRevoked: () => console.log("  sensor: the window was revoked"),
});
while (lines < readings) await once(worker, "message");
console.log(`bound: ${space.holders.join(", ")}`);

// #region unmap
// Unmap: resolves when both have let go of the memory.
const exited = once(worker, "exit");
await space.unmap(ram);
console.log(`ram is unmapped, its memory ${memory.released ? "was released" : "is still there"}`);

// Release: the space goes with its last holder.
await exited;
sensor[Symbol.dispose]();
space[Symbol.dispose]();
while (!space.released) await new Promise((resolve) => setTimeout(resolve, 1));
console.log("the last holder let go: the space is released");
// #endregion unmap
