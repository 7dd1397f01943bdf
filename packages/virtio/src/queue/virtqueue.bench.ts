/**
 * How much a queue costs: from taking a buffer to showing the driver that it was used, warm, without an interrupt. Each
 * layout is measured in a thread of its own, as a machine has one: with both in one, calls have two targets and cost more.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { DESC_NEXT, PackedDriver, SplitDriver } from "@virtspace/conformance";
import { arrayBufferMemory, gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { limitRow, ns, type Row, report } from "../../../../.config/bench/measure.ts";
import { FeatureSet, openVirtqueue, VirtioFeature, Virtqueue } from "../index.ts";

const SIZE = 256;
const LAPS = 12_000;
const WARM = 4000;

interface Candidate {
  readonly packed: boolean;
  readonly descriptors: number;
}

interface Outcome {
  /** Median nanoseconds a chain. */
  readonly median: number;
  /** Bytes of heap a chain. */
  readonly growth: number;
}

/** A driver that offers the same buffers again and again, lap after lap, with no more work than that. */
function offerer(space: VirtAddressSpace, features: FeatureSet, { packed, descriptors }: Candidate) {
  const place = { base: gpa(0x1_0000), size: SIZE, features };
  const chains = Math.floor(SIZE / descriptors);
  const flagsOf = (i: number): number => (i % descriptors < descriptors - 1 ? DESC_NEXT : 0);
  const addressOf = (i: number): number => 0x10_0000 + i * 2048;
  if (packed) {
    const driver = new PackedDriver(space, place);
    driver.wantInterrupts(false);
    let wrap = true;
    // A lap fills the whole ring, so that the next one begins where this one did.
    const slots = Array.from({ length: SIZE }, (_, i) => i);
    const last = (i: number): boolean => i % descriptors === descriptors - 1 || i === SIZE - 1;
    const lap = (): number => {
      for (const i of slots) {
        driver.describe(i, {
          address: addressOf(i),
          length: 60,
          id: Math.floor(i / descriptors),
          flags: (last(i) ? 0 : DESC_NEXT) | (wrap ? 0x80 : 0x8000),
        });
      }
      wrap = !wrap;
      return Math.ceil(SIZE / descriptors);
    };
    return { driver, lap };
  }
  const driver = new SplitDriver(space, place);
  driver.wantInterrupts(false);
  for (let i = 0; i < SIZE; i++) driver.describe(i, { address: addressOf(i), length: 60, flags: flagsOf(i), next: (i + 1) % SIZE });
  let index = 0;
  const lap = (): number => {
    for (let i = 0; i < chains; i++) driver.offer(index++, i * descriptors);
    driver.setIndex(index);
    return chains;
  };
  return { driver, lap };
}

function measureHere(candidate: Candidate): Outcome {
  const features = FeatureSet.of(
    VirtioFeature.Version1,
    VirtioFeature.RingIndirectDesc,
    VirtioFeature.RingEventIdx,
    ...(candidate.packed ? [VirtioFeature.RingPacked] : []),
  );
  const space = VirtAddressSpace.create({ name: "bench" });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(16 * MiB) });
  const { driver, lap } = offerer(space, features, candidate);
  const queue = openVirtqueue(driver.config(0), { space, interrupt: () => {} });
  if (!(queue instanceof Virtqueue)) throw new Error(queue.code);
  const drain = (): void => {
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.push(chain, 0);
    queue.flush();
  };
  const taken: number[] = [];
  for (let i = 0; i < LAPS; i++) {
    const chains = lap();
    const start = performance.now();
    drain();
    if (i >= WARM) taken.push(((performance.now() - start) * 1e6) / chains);
  }
  if (queue.fault !== undefined) throw new Error(queue.fault.code);
  // What the driver's part makes is the same with and without the device's: it is taken off.
  const heapOver = (work: boolean): number => {
    (globalThis as { gc?: () => void }).gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 2000; i++) {
      lap();
      if (work) drain();
    }
    return process.memoryUsage().heapUsed - before;
  };
  const busy = heapOver(true);
  const growth = (busy - heapOver(false)) / (2000 * Math.floor(SIZE / candidate.descriptors));
  taken.sort((a, b) => a - b);
  return { median: taken[taken.length >> 1] as number, growth };
}

async function measureInThread(candidate: Candidate): Promise<Outcome> {
  const worker = new Worker(new URL(import.meta.url), { workerData: candidate });
  const [outcome] = (await once(worker, "message")) as [Outcome];
  return outcome;
}

if (isMainThread) {
  const rows: Row[] = [];
  let growth = 0;
  for (const [descriptors, most] of [
    [1, 60],
    [3, 110],
  ] as const) {
    for (const packed of [false, true]) {
      const outcome = await measureInThread({ packed, descriptors });
      growth = Math.max(growth, outcome.growth);
      const what = `take, give back and show a buffer of ${descriptors} descriptor${descriptors > 1 ? "s" : ""}, ${packed ? "packed" : "split"}`;
      rows.push(limitRow(what, outcome.median, most, ns));
    }
  }
  rows.push({
    what: "heap growth for a chain, over half a million of them",
    median: `${growth.toFixed(2)} bytes`,
    target: "nothing a chain",
    met: growth < 0.5 ? "yes" : "NO",
  });
  report("Virtqueues", rows);
} else {
  parentPort?.postMessage(measureHere(workerData as Candidate));
}
