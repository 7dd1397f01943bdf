/** A ring whose sides are two threads: what one posts the other works on, and who waits is woken. */
import { Worker } from "node:worker_threads";
import { gpa, MiB, SharedNotifier, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { expect, test, vi } from "vitest";
import { isErrno } from "../errno/errno.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import { Ioq } from "./ioq.ts";
import { ioqSize } from "./ioq-layout.ts";
import type { SouthData } from "./south.worker.ts";

const [AT, COUNT, TOTAL] = [0x1000, 32, 50_000];

test("fifty thousand descriptors go to another thread and back, in order, with far fewer signals", { timeout: 30_000 }, async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
  const shm = new VbusMemctx(space).shm(AT, ioqSize(COUNT));
  if (isErrno(shm)) throw new Error(shm);
  using toSouth = new SharedNotifier();
  using toNorth = new SharedNotifier();
  const ring = Ioq.create({ shm, count: COUNT, inject: () => toSouth.signal() });
  const { promise: finished, resolve } = Promise.withResolvers<void>();
  let [posted, reaped, wrong, calls] = [0, 0, 0, 0];
  const post = ring.iterator("valid", { autoUpdate: true });
  const free = ring.iterator("valid", { autoUpdate: true, keepOwner: true });
  const reap = ring.iterator("inuse", { autoUpdate: true, keepOwner: true });
  const fill = (): void => {
    for (post.seek("tail"); posted < TOTAL && ring.remaining("valid") !== 0 && post.mine; posted++) {
      Object.assign(post, { ptr: posted, len: posted, valid: true });
      if (post.push() !== 0) return;
    }
  };
  ring.signal.listener = () => {
    calls++;
    free.seek("head");
    for (reap.seek("head"); ring.used("inuse") !== 0 && reap.mine && reap.valid; reaped++) {
      if (reap.ptr !== reaped || reap.len !== reaped + 1) wrong++;
      // What is taken says nothing any more: its place may come back as the other side's at once.
      reap.valid = false;
      if (reap.pop() !== 0 || free.pop() !== 0) wrong++;
    }
    fill();
    if (reaped === TOTAL) resolve();
  };
  ring.signal.enable();
  fill();
  toNorth.subscribe(() => ring.signal.wake());
  const alive = setInterval(() => {}, 1000);
  const descriptor = space.descriptor();
  const data: SouthData = {
    ...{ descriptor, at: AT, count: COUNT, total: TOTAL },
    ...{ south: toSouth.share().payload as SharedArrayBuffer, north: toNorth.share().payload as SharedArrayBuffer },
  };
  const worker = new Worker(new URL("./south.worker.ts", import.meta.url), {
    workerData: data,
    transferList: descriptor.transfer as never,
  });
  const failed = new Promise<never>((_, reject) => worker.on("error", reject));
  await Promise.race([finished, failed]);
  clearInterval(alive);
  expect([reaped, wrong]).toEqual([TOTAL, 0]);
  expect(ring.signal.injected).toBeLessThan(TOTAL);
  expect(calls).toBeLessThan(TOTAL);
  await new Promise((ended) => worker.on("exit", ended));
  // What tells of the thread's end may come behind the end itself.
  await vi.waitFor(() => expect(space.holders).toEqual(["its creator"]));
  ring[Symbol.dispose]();
  shm.put();
});
