/**
 * Rings full of random bytes. Whatever lies there, the queue ends in a bounded number of steps, throws nothing, writes nowhere but
 * where a valid chain said, and a second queue of the same device goes on. The seed is fixed; `VIRTSPACE_FUZZ_SECONDS` runs
 * with fresh ones for that long.
 */
import { fc, test as prop } from "@fast-check/vitest";
import { SplitDriver } from "@virtspace/conformance";
import { gpa, sharedMemory, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { describe, expect } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { type Chain, FeatureSet, openVirtqueue, VirtioFeature, Virtqueue } from "../index.ts";
import { BORDER, BUFFERS, QueueTrial, RING, range, TABLES, WINDOW } from "./queue-scenarios.ts";

const FAR = 2 ** 45;

/** Numbers that a ring is likely to stumble over. */
const word = fc.oneof(
  fc.nat(0xffff_ffff),
  fc.nat(20),
  fc.constantFrom(
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    0x80,
    0x81,
    0x82,
    0x8000,
    0x8001,
    0xffff,
    BUFFERS,
    TABLES,
    RING,
    BORDER - 8,
    WINDOW,
    0x7fff_ffff,
    0xffff_ffff,
  ),
);
const pokes = fc.array(fc.tuple(fc.constantFrom("ring", "table"), fc.nat(0x23f), word), { minLength: 1, maxLength: 40 });

/** Around each place that a descriptor is likely to name. */
const SHADOWED = 0x4000;

/** What memory was, and where it may change. */
class Shadow {
  readonly #space: VirtAddressSpace;
  readonly #places = [0, RING, TABLES, BUFFERS, BORDER - SHADOWED / 2].map((start) => ({ start, words: new Uint32Array(SHADOWED / 4) }));
  readonly #now = new Uint32Array(SHADOWED / 4);
  #allowed: { readonly start: number; readonly end: number }[] = [];

  constructor(space: VirtAddressSpace) {
    this.#space = space;
  }

  /** What is there now is as it should be. The rings are the queue's to write. */
  take(): void {
    this.#allowed = [{ start: RING, end: RING + 0x1000 }];
    for (const { start, words } of this.#places) this.#space.copyFrom(gpa(start), new Uint8Array(words.buffer));
  }

  /** The device may write the first bytes of a chain's writable part. */
  mayWrite(chain: Chain, most: number): void {
    let left = most;
    for (let piece = chain.readablePieces; piece < chain.pieces && left > 0; piece++) {
      const start = chain.range(piece).start + chain.offset(piece);
      const length = Math.min(chain.length(piece), left);
      this.#allowed.push({ start, end: start + length });
      left -= length;
    }
  }

  /** @returns the address of a word that was written and may not be */
  strayWrite(): number | undefined {
    const now = this.#now;
    for (const { start, words } of this.#places) {
      this.#space.copyFrom(gpa(start), new Uint8Array(now.buffer));
      for (let i = 0; i < words.length; i++) {
        const address = start + 4 * i;
        if (now[i] !== words[i] && !this.#allowed.some((range) => address + 4 > range.start && address < range.end)) return address;
      }
    }
    return undefined;
  }
}

describe.each([
  ["split", FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, VirtioFeature.RingEventIdx)],
  ["packed", FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, VirtioFeature.RingEventIdx, VirtioFeature.RingPacked)],
  [
    "packed, in order",
    FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingIndirectDesc, VirtioFeature.RingPacked, VirtioFeature.InOrder),
  ],
])("a %s ring of random bytes", (_, features) => {
  prop.prop([fc.array(pokes, { minLength: 1, maxLength: 6 })], fuzzRuns(400))("harms nobody", (rounds) => {
    using trial = new QueueTrial(features, 16);
    const { space, queue } = trial;
    // Where no random descriptor reaches: a guest may well overwrite its own rings, and that is no fault of ours.
    space.map({ name: "far", base: gpa(FAR), memory: sharedMemory(0x1_0000) });
    const place = { base: gpa(FAR), size: 8, features: FeatureSet.of(VirtioFeature.Version1) };
    const other = new SplitDriver(space, place);
    const healthy = openVirtqueue(other.config(1), { space, interrupt: () => {} });
    if (!(healthy instanceof Virtqueue)) throw new Error(healthy.code);

    let steps = 0;
    const shadow = new Shadow(space);
    queue.serve(
      (chain) => {
        steps++;
        shadow.mayWrite(chain, 4096);
        const bytes = new Uint8Array(Math.min(chain.readableBytes, 4096));
        chain.copyFrom(0, bytes);
        chain.copyTo(0, new Uint8Array(Math.min(chain.writableBytes, 4096)));
      },
      { budget: 64 },
    );
    for (const round of rounds) {
      for (const [where, at, value] of round) space.writeU32(gpa((where === "ring" ? RING : TABLES) + at * 4), value);
      shadow.take();
      steps = 0;
      queue.kick();
      for (let turns = 0; turns < 8 && trial.turn(); turns++);
      expect(steps).toBeLessThanOrEqual(64 * 9);
      expect(shadow.strayWrite()).toBeUndefined();
      const id = other.add([range(FAR + 0x8000, 8)], []);
      other.publish();
      const chain = healthy.pop();
      expect([chain?.id, chain?.readableBytes]).toEqual([id, 8]);
      chain?.push();
      healthy.flush();
      expect([other.used(), healthy.fault]).toEqual([{ id, written: 0 }, undefined]);
    }
    expect(trial.failures).toEqual([]);
    expect(trial.faults.length).toBeLessThanOrEqual(1);
    expect(queue.inFlight).toBe(0);
    const state = queue.stop();
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    healthy.stop();
  });
});
