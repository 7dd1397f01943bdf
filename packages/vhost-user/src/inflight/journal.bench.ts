/**
 * What it costs to write down what is in flight: the same queue with a table and without, in turns. From taking a buffer to showing
 * the driver that it was used; the driver's own part is not counted.
 */
import { PackedDriver, SplitDriver } from "@virtspace/conformance";
import { arrayBufferMemory, gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, freshQueueState, openVirtqueue, type QueueJournal, VirtioFeature, Virtqueue } from "@virtspace/virtio";
import { ns, type Row, report } from "../../../../.config/bench/measure.ts";
import { openPackedTable } from "./packed-journal.ts";
import { packedTableBytes } from "./packed-table.ts";
import { openSplitTable, splitTableBytes } from "./split-journal.ts";

const SIZE = 256;
const LAPS = 6000;
const WARM = 2000;

function journalOf(packed: boolean): QueueJournal {
  const state = freshQueueState(packed);
  if (!packed) return openSplitTable(new DataView(new ArrayBuffer(splitTableBytes(SIZE))), SIZE, state, () => 0).journal;
  const ring = { copy: new DataView(new ArrayBuffer(16 * SIZE)), setFlags: () => {} };
  return openPackedTable(new DataView(new ArrayBuffer(packedTableBytes(SIZE))), SIZE, ring, state, state.available).journal;
}

/** A queue with its driver. @returns a lap of the whole ring, which takes that many nanoseconds a buffer */
function lapsOf(packed: boolean, journal: QueueJournal | undefined): () => number {
  const features = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingEventIdx, ...(packed ? [VirtioFeature.RingPacked] : []));
  const space = VirtAddressSpace.create({ name: "bench" });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(16 * MiB) });
  const driver = new (packed ? PackedDriver : SplitDriver)(space, { base: gpa(0x1_0000), size: SIZE, features });
  driver.wantInterrupts(false);
  const queue = openVirtqueue({ ...driver.config(0), journal }, { space, interrupt: () => {} });
  if (!(queue instanceof Virtqueue)) throw new Error(queue.code);
  return () => {
    for (let i = 0; i < SIZE; i++) driver.add([{ address: gpa(0x10_0000 + 2048 * i), length: 60 }], []);
    driver.publish();
    const start = performance.now();
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.push(chain, 0);
    queue.flush();
    const taken = performance.now() - start;
    let back = 0;
    while (driver.used() !== undefined) back++;
    if (back !== SIZE) throw new Error(`${back} of ${SIZE} buffers came back`);
    return (taken * 1e6) / SIZE;
  };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;

const rows = [false, true].map((packed): Row => {
  const [plain, written] = [lapsOf(packed, undefined), lapsOf(packed, journalOf(packed))];
  const taken: [number[], number[]] = [[], []];
  for (let lap = 0; lap < LAPS; lap++) {
    const [a, b] = [plain(), written()];
    if (lap < WARM) continue;
    taken[0].push(a);
    taken[1].push(b);
  }
  const [without, with_] = taken.map(median) as [number, number];
  return {
    what: `a buffer of a ${packed ? "packed" : "split"} ring, with what is in flight written down`,
    median: ns(with_),
    ratio: `${(with_ / without).toFixed(2)}x of one without (${ns(without)})`,
  };
});
report("In flight", rows);
