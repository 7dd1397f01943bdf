/**
 * The thread's question: where should the cache of the last slot live? Two callers on one thread take turns, each in a
 * region of its own, as two queues of a device do.
 */
import { measure, ns, report } from "../../../../.config/bench/measure.ts";
import { arrayBufferMemory, type GuestAddress, gpa, KiB, VirtAddressSpace } from "../index.ts";

for (const regions of [2, 8, 1024]) {
  const space = VirtAddressSpace.create({ name: "bench" });
  space.transaction((change) => {
    for (let i = 0; i < regions; i++) change.map({ name: `region ${i}`, base: gpa(i * 128 * KiB), memory: arrayBufferMemory(4 * KiB) });
  });
  const near = Array.from({ length: 1024 }, (_, i) => gpa((i * 4) % (4 * KiB)));
  const far = near.map((address) => gpa((regions - 1) * 128 * KiB + address));
  const [one, two] = [space.access(), space.access()];
  const taken = measure(
    {
      // What KVM has today for callers outside a vCPU: every access searches.
      none: (operations) => {
        let sum = 0;
        for (let i = 0; i < operations; i++) {
          const at = (i & 1 ? far : near)[i & 1023] as GuestAddress;
          const range = space.view().find(at);
          if (range !== undefined) sum += range.data.getUint32(at - range.start, true);
        }
        return sum;
      },
      // Per CPU, as the patch had it: one cache for all callers of a thread. Here they evict each other each time.
      perThread: (operations) => {
        let sum = 0;
        for (let i = 0; i < operations; i++) sum += one.readU32((i & 1 ? far : near)[i & 1023] as GuestAddress) as number;
        return sum;
      },
      // Per vCPU, or rather per caller: each has its own.
      perCaller: (operations) => {
        let sum = 0;
        for (let i = 0; i < operations; i++) {
          sum += (i & 1 ? two.readU32(far[i & 1023] as GuestAddress) : one.readU32(near[i & 1023] as GuestAddress)) as number;
        }
        return sum;
      },
    },
    { operations: 1 << 20 },
  );
  report(`Two callers in turn, ${regions} regions`, [
    { what: "no cache", median: ns(taken.none), ratio: "1.00x" },
    { what: "a cache per thread (per CPU)", median: ns(taken.perThread), ratio: `${(taken.perThread / taken.none).toFixed(2)}x` },
    { what: "a cache per caller (per vCPU)", median: ns(taken.perCaller), ratio: `${(taken.perCaller / taken.none).toFixed(2)}x` },
  ]);
}
