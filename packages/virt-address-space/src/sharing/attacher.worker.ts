/** A thread that attaches what it is sent: measures how long that takes, and stays attached where it is asked to. */
import { parentPort } from "node:worker_threads";
import { type SpaceDescriptor, VirtAddressSpace } from "../index.ts";

parentPort?.on("message", async ({ descriptor, stay }: { descriptor: SpaceDescriptor; stay: boolean }) => {
  const start = performance.now();
  const space = await VirtAddressSpace.attach(descriptor);
  const took = performance.now() - start;
  if (!stay) space[Symbol.dispose]();
  parentPort?.postMessage(took);
});
