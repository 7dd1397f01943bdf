/** What a descriptor costs on its way through a ring: posted by one side, worked on by the other, and taken back. */
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { limitRow, measure, ns, report } from "../../../../.config/bench/measure.ts";
import { Ioq, IoqOffset, ioqSize, isErrno, ShmSignal, VbusMemctx } from "../index.ts";

const SIZE = 256;
const OPERATIONS = 100 * SIZE;

const space = VirtAddressSpace.create({ name: "bench" });
space.map({ name: "ram", base: gpa(0), memory: sharedMemory(MiB) });
const shm = new VbusMemctx(space).shm(0x1000, ioqSize(SIZE));
if (isErrno(shm)) throw new Error(shm);
const north = Ioq.create({ shm, count: SIZE, inject: () => {} });
const signal = new ShmSignal({ shm, offset: IoqOffset.signal, locale: "south", inject: () => {} });
const south = Ioq.attach({ shm, locale: "south", signal }, SIZE);
if (isErrno(south)) throw new Error(south);

const post = north.iterator("valid", { autoUpdate: true });
const take = south.iterator("valid", { autoUpdate: true });
const work = south.iterator("inuse", { autoUpdate: true });
const reap = north.iterator("inuse", { autoUpdate: true, keepOwner: true });
const free = north.iterator("valid", { autoUpdate: true, keepOwner: true });

/** Posted by one side, taken by the other: the descriptor is the first's again. */
function pushToPop(operations: number): number {
  let sum = 0;
  for (let i = 0; i < operations; i++) {
    post.len = i;
    post.push();
    sum += take.len;
    if (take.pop() !== 0) throw new Error("it did not come through");
  }
  return sum;
}

/** As a device does: posted, worked on and given back by the other index, taken out of both. */
function thereAndBack(operations: number): number {
  let sum = 0;
  for (let i = 0; i < operations; i++) {
    post.len = i;
    post.push();
    sum += work.len;
    if (work.push() !== 0) throw new Error("it did not come through");
    reap.pop();
    free.pop();
  }
  return sum;
}

for (const iterator of [post, take, work, reap, free]) iterator.seek("tail");
const once = measure({ pushToPop }, { operations: OPERATIONS });
for (const iterator of [post, work, reap, free]) iterator.seek("tail");
const both = measure({ thereAndBack }, { operations: OPERATIONS });
report("ioq, both sides in one process", [
  limitRow("a descriptor, from push to pop", once.pushToPop, 150, ns),
  { what: "a descriptor there and back: two pushes, two pops", median: ns(both.thereAndBack) },
]);
