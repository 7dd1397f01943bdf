/** How long it takes to attach, and until a commit is seen by other threads. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { limitRow, measureAsync, ms, report } from "../../../../.config/bench/measure.ts";
import { gpa, PAGE_SIZE, sharedMemory, VirtAddressSpace } from "../index.ts";

const space = VirtAddressSpace.create({ name: "bench" });
space.transaction((change) => {
  for (let i = 0; i < 64; i++) change.map({ name: `region ${i}`, base: gpa(i * 0x10000), memory: sharedMemory(PAGE_SIZE) });
});
const workers = Array.from({ length: 4 }, () => new Worker(new URL("./attacher.worker.ts", import.meta.url)));

async function attach(worker: Worker, stay: boolean): Promise<number> {
  const descriptor = space.descriptor();
  worker.postMessage({ descriptor, stay }, descriptor.transfer);
  const [took] = await once(worker, "message");
  return took as number;
}

const taken: number[] = [];
for (let i = 0; i < 600; i++) {
  const took = await attach(workers[0] as Worker, false);
  if (i >= 400) taken.push(took);
}
taken.sort((a, b) => a - b);

for (const worker of workers) await attach(worker, true);
let region = space.map({ name: "extra", base: gpa(2 ** 32), memory: sharedMemory(PAGE_SIZE) });
const move = async (): Promise<void> => {
  await space.move(region, gpa((region.base as number) === 2 ** 32 ? 2 ** 33 : 2 ** 32)).settled;
};
await measureAsync(50, move);
const commit = await measureAsync(200, move);
const unmap = await measureAsync(200, async () => {
  await space.unmap(region);
  region = space.map({ name: "extra", base: gpa(2 ** 32), memory: sharedMemory(PAGE_SIZE) });
});

report("Between threads", [
  limitRow("attach of a descriptor with 64 regions, in the worker", taken[taken.length >> 1] as number, 1, ms),
  limitRow("a commit seen and acknowledged by 4 workers", commit, 5, ms),
  { what: "unmap until 4 workers have let go, and a map", median: ms(unmap) },
]);
await Promise.all(workers.map((worker) => worker.terminate()));
space[Symbol.dispose]();
