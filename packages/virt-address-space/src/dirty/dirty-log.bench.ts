/** How much a dirty log costs: marking, and harvesting what little is dirty in a large space. */
import { limitRow, measure, measureAsync, ms, ns, report } from "../../../../.config/bench/measure.ts";
import { arrayBufferMemory, GiB, gpa, PAGE_SIZE, VirtAddressSpace } from "../index.ts";
import { DirtyBitmap } from "./dirty-bitmap.ts";

// The host gives out memory when it is touched, so that 64 GiB of guest cost no more than the pages written here.
const SIZE = 64 * GiB;
const PART = 4 * GiB;

const space = VirtAddressSpace.create({ name: "bench" });
space.transaction((change) => {
  for (let at = 0; at < SIZE; at += PART) change.map({ name: `ram at ${at / GiB} GiB`, base: gpa(at), memory: arrayBufferMemory(PART) });
});
const log = space.dirtyLog("bench");
const pages = Array.from({ length: 1000 }, () => Math.floor(Math.random() * (SIZE / PAGE_SIZE)));

let found = 0;
const harvest = await measureAsync(101, async () => {
  const start = performance.now();
  found = log.harvest().reduce((sum, { length }) => sum + length / PAGE_SIZE, 0);
  const took = performance.now() - start;
  for (const page of pages) space.markDirty(gpa(page * PAGE_SIZE), 1);
  return took;
});
const marks = await measureAsync(101, async () => {
  for (const page of pages) space.markDirty(gpa(page * PAGE_SIZE), 1);
});
if (found !== new Set(pages).size) throw new Error(`the harvest found ${found} pages of ${new Set(pages).size}`);

const shared = new DirtyBitmap(SIZE);
const local = new DirtyBitmap(SIZE, new ArrayBuffer(shared.buffer.byteLength));
for (const page of pages) {
  shared.mark(page);
  local.mark(page);
}
const hot = pages.slice(0, 64);
const taken = measure(
  {
    loop: (operations) => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += hot[i & 63] as number;
      return sum;
    },
    shared: (operations) => {
      for (let i = 0; i < operations; i++) shared.mark(hot[i & 63] as number);
    },
    local: (operations) => {
      for (let i = 0; i < operations; i++) local.mark(hot[i & 63] as number);
    },
    write: (operations) => {
      for (let i = 0; i < operations; i++) space.writeU32(gpa((hot[i & 63] as number) * PAGE_SIZE), i);
    },
  },
  { operations: 1 << 20 },
);

report("Dirty log of a 64 GiB space (16 Mi pages)", [
  limitRow("harvest with 1000 dirty pages, and marking them again", harvest, 2, ms),
  { what: "of which marking a thousand pages", median: ms(marks) },
  { what: "the loop around the marks below, already taken off", median: ns(taken.loop) },
  limitRow("marking a page that is dirty, bitmap shared between threads", taken.shared - taken.loop, 5, ns),
  limitRow("marking a page that is dirty, bitmap of one thread", taken.local - taken.loop, 5, ns),
  { what: "a 32-bit write while the log runs, address made by gpa()", median: ns(taken.write) },
]);
space[Symbol.dispose]();
