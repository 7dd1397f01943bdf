import { expect, test } from "vitest";
import { gpa, SharedNotifier, sharedMemory, VirtAddressSpace } from "../index.ts";
import { start } from "./node-worker-scenarios.ts";
import { Peer, sharingScenarios } from "./sharing-scenarios.ts";

sharingScenarios(start);

test("a thread that never returns to its event loop hears of commits by quiesce(), one atomic load a round", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const ram = space.map({ name: "ram", base: gpa(0), memory: sharedMemory(4096) });
  const stop = new SharedArrayBuffer(4);
  const worker = new Peer(start());
  try {
    await worker.attach(space.descriptor(), { name: "poll loop", receive: true });
    const looping = worker.next();
    const seen = worker.ask({ do: "loop", stop });
    await looping;
    await space.unmap(ram);
    expect(ram.memory?.released).toBe(true);
    await space.transaction((change) => change.map({ name: "new", base: gpa(0), memory: sharedMemory(4096) })).settled;
    Atomics.store(new Int32Array(stop), 0, 1);
    // Both maps may have come in one round of the loop; the unmap above was answered from within it all the same.
    expect(((await seen) as number[]).at(-1)).toBe(3);
  } finally {
    worker.terminate();
  }
});

test("a holder names what wakes it, and it is woken by each commit", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const ram = space.map({ name: "ram", base: gpa(0), memory: sharedMemory(4096) });
  using wake = new SharedNotifier();
  const worker = new Peer(start());
  try {
    await worker.attach(space.descriptor(), { wake: wake.share().payload as SharedArrayBuffer });
    await space.move(ram, gpa(0x10000)).settled;
    wake.take();
    await space.unmap(ram);
    expect(wake.take()).toBe(1);
  } finally {
    worker.terminate();
  }
});
