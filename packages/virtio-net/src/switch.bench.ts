/**
 * Frames from one guest's memory to another's, through the switch, on one core: from the driver's notification to the other
 * driver's used ring. The drivers offer the same buffers lap after lap; their part is not counted.
 */
import { SplitDriver } from "@virtspace/conformance";
import { LearningSwitch, writeHeader } from "@virtspace/network";
import { arrayBufferMemory, gpa, MiB, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, openVirtqueue, VirtioFeature, Virtqueue } from "@virtspace/virtio";
import { type Row, report } from "../../../.config/bench/measure.ts";
import { NetFeature, VirtioNet } from "./index.ts";

const SIZE = 256;
const LAPS = 6000;
const WARM = 2000;
const STRIDE = 2048;
const BUFFERS = 0x10_0000;
const FEATURES = FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingEventIdx, NetFeature.MrgRxbuf);
const header = 12;
const macOf = (guest: number): number => 0x5254_0000_0000 + guest;

/** A guest whose driver offers all of its buffers at once. */
class Guest {
  readonly space: VirtAddressSpace;
  readonly net: VirtioNet;
  readonly queues: Virtqueue[];
  readonly #drivers: SplitDriver[];
  readonly #index = [0, 0];
  readonly #later: (() => void)[] = [];

  constructor(number: number, network: LearningSwitch) {
    this.space = VirtAddressSpace.create({ name: `guest ${number}` });
    this.space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(16 * MiB) });
    this.net = new VirtioNet({ backend: network, mac: macOf(number) });
    this.net.start({ space: this.space, features: FEATURES, log: console, now: () => 0, configChanged: () => {} });
    this.#drivers = [0, 1].map(
      (queue) => new SplitDriver(this.space, { base: gpa(0x1_0000 * (queue + 1)), size: SIZE, features: FEATURES }),
    );
    this.queues = this.#drivers.map((driver, index) => {
      driver.wantInterrupts(false);
      const queue = openVirtqueue(driver.config(index), {
        space: this.space,
        interrupt: () => {},
        host: { defer: (task) => void this.#later.push(task), after: () => ({ [Symbol.dispose]: () => {} }), now: () => 0 },
      });
      if (!(queue instanceof Virtqueue)) throw new Error(queue.code);
      this.net.startQueue(index, queue);
      return queue;
    });
  }

  /** Offers all buffers of a queue: descriptors of the first lap serve all others. */
  offer(queue: number, length: number, writable: boolean): void {
    const driver = this.#drivers[queue] as SplitDriver;
    for (let i = 0; i < SIZE; i++) {
      const address = BUFFERS + (queue * SIZE + i) * STRIDE;
      driver.describe(i, { address, length, flags: writable ? 2 : 0 });
      driver.offer(i, i);
    }
  }

  /** Shows the device a whole ring of buffers. */
  show(queue: number): void {
    const index = (this.#index[queue] as number) + SIZE;
    this.#index[queue] = index;
    this.#drivers[queue]?.setIndex(index);
  }

  /** Notifies of a queue, and lets it have as many turns as it wants. */
  kick(queue: number): void {
    this.queues[queue]?.kick();
    for (let task = this.#later.pop(); task !== undefined; task = this.#later.pop()) task();
  }

  /** Writes the frame of each buffer. */
  fill(target: number, source: number, length: number): void {
    for (let i = 0; i < SIZE; i++) {
      const bytes = new Uint8Array(header + length).fill(i);
      bytes.fill(0, 0, header);
      const frame = bytes.subarray(header);
      writeHeader(frame, target, source, 0x88b5);
      this.space.copyTo(gpa(BUFFERS + (SIZE + i) * STRIDE), bytes);
    }
  }
}

function framesPerSecond(length: number): { rate: number; plain: number } {
  const network = new LearningSwitch();
  const [one, two] = [new Guest(1, network), new Guest(2, network)] as const;
  two.offer(0, STRIDE, true);
  one.offer(1, header + length, false);
  // The second guest says where it is.
  one.fill(macOf(2), macOf(1), length);
  two.fill(0xffff_ffff_ffff, macOf(2), 60);
  two.offer(1, header + 60, false);
  two.show(1);
  two.kick(1);
  const taken: number[] = [];
  for (let lap = 0; lap < LAPS; lap++) {
    two.show(0);
    one.show(1);
    const start = performance.now();
    one.kick(1);
    if (lap >= WARM) taken.push((performance.now() - start) / SIZE);
  }
  const lost = Object.entries(one.net.counters[1]?.drops ?? {});
  const got = two.net.counters[0]?.frames as number;
  if (lost.length > 0 || got < LAPS * SIZE) throw new Error(`only ${got} of ${LAPS * SIZE} frames arrived: ${JSON.stringify(lost)}`);
  taken.sort((a, b) => a - b);
  return { rate: 1000 / (taken[taken.length >> 1] as number), plain: plainCopies(length) };
}

/** The same bytes copied between two arrays. */
function plainCopies(length: number): number {
  const source = new Uint8Array(SIZE * STRIDE);
  const target = new Uint8Array(SIZE * STRIDE);
  const views = Array.from({ length: SIZE }, (_, i) => source.subarray(i * STRIDE, i * STRIDE + length));
  const taken: number[] = [];
  for (let lap = 0; lap < LAPS; lap++) {
    const start = performance.now();
    for (let i = 0; i < SIZE; i++) target.set(views[i] as Uint8Array, i * STRIDE);
    if (lap >= WARM) taken.push((performance.now() - start) / SIZE);
  }
  taken.sort((a, b) => a - b);
  return 1000 / (taken[taken.length >> 1] as number);
}

const millions = (rate: number): string => `${(rate / 1e6).toFixed(2)} M/s`;
const rows: Row[] = [];
for (const [length, least] of [
  [60, 4e6],
  [1500, 3e6],
] as const) {
  const { rate, plain } = framesPerSecond(length);
  rows.push({
    what: `frames of ${length} bytes from guest to guest, one core`,
    median: millions(rate),
    ratio: `${(plain / rate).toFixed(1)}x the time of copying the bytes (${millions(plain)})`,
    target: `at least ${millions(least)}`,
    met: rate >= least ? "yes" : "NO",
  });
}
report("The switch", rows);
