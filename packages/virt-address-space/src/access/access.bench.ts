/** How much an access by guest address costs beside a typed array. */
import { PerformanceObserver } from "node:perf_hooks";
import { limitRow, measure, ns, type Row, ratioRow, report } from "../../../../.config/bench/measure.ts";
import { arrayBufferMemory, type GuestAddress, gpa, KiB, MiB, sharedMemory, VirtAddressSpace } from "../index.ts";

const WORKING_SET = MiB;

/** A space whose working set is cut into equal regions, each in memory of its own, with holes between them. */
function spaceOf(regions: number): { space: VirtAddressSpace; addresses: GuestAddress[] } {
  const space = VirtAddressSpace.create({ name: "bench" });
  const size = WORKING_SET / regions;
  space.transaction((change) => {
    for (let i = 0; i < regions; i++) {
      change.map({ name: `region ${i}`, base: gpa(i * size * 2), memory: arrayBufferMemory(size) });
    }
  });
  const addresses = offsets.map((offset) => gpa(Math.floor(offset / size) * size * 2 + (offset % size)));
  return { space, addresses };
}

// One sequence of random offsets for all candidates: the caches see the same.
const offsets = Array.from({ length: 1 << 14 }, () => Math.floor((Math.random() * WORKING_SET) / 4) * 4);
const mask = offsets.length - 1;

function readLoop(space: VirtAddressSpace, addresses: readonly GuestAddress[]): (operations: number) => number {
  const reader = space.access();
  return (operations) => {
    let sum = 0;
    for (let i = 0; i < operations; i++) sum += reader.readU32(addresses[i & mask] as GuestAddress) as number;
    return sum;
  };
}

function randomReads(): Row[] {
  const raw = new Uint32Array(WORKING_SET / 4);
  const indices = offsets.map((offset) => offset / 4);
  const [one, eight, thousand] = [spaceOf(1), spaceOf(8), spaceOf(1024)];
  const window = one.space.vmap(gpa(0), WORKING_SET);
  const taken = measure(
    {
      raw: (operations) => {
        let sum = 0;
        for (let i = 0; i < operations; i++) sum += raw[indices[i & mask] as number] as number;
        return sum;
      },
      window: (operations) => {
        let sum = 0;
        for (let i = 0; i < operations; i++) sum += window.u32[indices[i & mask] as number] as number;
        return sum;
      },
      one: readLoop(one.space, one.addresses),
      eight: readLoop(eight.space, eight.addresses),
      thousand: readLoop(thousand.space, thousand.addresses),
    },
    { operations: 1 << 20 },
  );
  return [
    { what: "raw typed array", median: ns(taken.raw) },
    ratioRow("through a vmap", taken.window, taken.raw, 1.1),
    ratioRow("by address, 1 region", taken.one, taken.raw, 4),
    ratioRow("by address, 8 regions", taken.eight, taken.raw, 8),
    ratioRow("by address, 1024 regions, to 8 regions", taken.thousand, taken.eight, 3),
  ];
}

function copies(kind: string, memory: typeof arrayBufferMemory | typeof sharedMemory): Row[] {
  const rows: Row[] = [];
  for (const [size, most] of [
    [16, undefined],
    [1500, 1.3],
    [64 * KiB, 1.05],
  ] as const) {
    const space = VirtAddressSpace.create({ name: "bench" });
    space.map({ name: "ram", base: gpa(0), memory: memory(4 * MiB) });
    const target = memory(4 * MiB).bytes();
    const source = new Uint8Array(size).fill(7);
    const places = Array.from({ length: 1024 }, () => gpa(Math.floor(Math.random() * (4 * MiB - size))));
    const taken = measure(
      {
        set: (operations) => {
          for (let i = 0; i < operations; i++) target.set(source, places[i & 1023] as number);
        },
        copyTo: (operations) => {
          let left = 0;
          for (let i = 0; i < operations; i++) left += space.copyTo(places[i & 1023] as GuestAddress, source);
          return left;
        },
      },
      { operations: size > 10_000 ? 2000 : 100_000 },
    );
    const what = `copyTo ${size} bytes, ${kind}`;
    rows.push({ what: `set ${size} bytes, ${kind}`, median: ns(taken.set) });
    rows.push(most === undefined ? limitRow(what, taken.copyTo, 40, ns) : ratioRow(what, taken.copyTo, taken.set, most));
  }
  return rows;
}

/** Ten million calls: how much the heap grows, and how often it was collected. */
async function allocations(): Promise<Row[]> {
  const { space, addresses } = spaceOf(8);
  const source = new Uint8Array(16);
  const calls = 10_000_000;
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  const loops: Record<string, (i: number) => unknown> = {
    "copyTo 16 bytes": (i) => space.copyTo(addresses[i & mask] as GuestAddress, source),
    "copyFrom 16 bytes": (i) => space.copyFrom(addresses[i & mask] as GuestAddress, source),
    readU32: (i) => space.readU32(addresses[i & mask] as GuestAddress),
    writeU32: (i) => space.writeU32(addresses[i & mask] as GuestAddress, i),
  };
  const rows: Row[] = [];
  for (const [what, call] of Object.entries(loops)) {
    for (let i = 0; i < 200_000; i++) call(i);
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
    collections = 0;
    observer.observe({ entryTypes: ["gc"] });
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < calls; i++) call(i);
    const grown = process.memoryUsage().heapUsed - before;
    await new Promise((resolve) => setTimeout(resolve, 20));
    observer.disconnect();
    const perCall = grown / calls;
    rows.push({
      what: `${what}: heap growth over 10 million calls`,
      median: `${(grown / 1024).toFixed(0)} KiB, ${collections} collections`,
      target: "nothing a call",
      met: perCall < 0.1 && collections === 0 ? "yes" : "NO",
    });
  }
  return rows;
}

report("Random 32-bit reads over 1 MiB", randomReads());
report("Copies into guest memory", [...copies("ArrayBuffer", arrayBufferMemory), ...copies("SharedArrayBuffer", sharedMemory)]);
report("Allocation", await allocations());
