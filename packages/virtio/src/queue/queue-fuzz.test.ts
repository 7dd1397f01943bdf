/**
 * Rings full of random bytes. Whatever lies there, the queue ends in a bounded number of steps, throws nothing, writes nowhere but
 * where a valid chain said, and a second queue of the same device goes on. The seed is fixed; `VIRTSPACE_FUZZ_SECONDS` runs
 * with fresh ones for that long.
 */
import { fc, test as prop } from "@fast-check/vitest";
import { SplitDriver } from "@virtspace/conformance";
import { gpa, sharedMemory } from "@virtspace/virt-address-space";
import { describe, expect } from "vitest";
import { fuzzRuns } from "../../../../.config/fuzz/runs.ts";
import { FeatureSet, openVirtqueue, VirtioFeature, Virtqueue } from "../index.ts";
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
    queue.serve(
      (chain) => {
        steps++;
        const bytes = new Uint8Array(Math.min(chain.readableBytes, 4096));
        chain.copyFrom(0, bytes);
        chain.copyTo(0, new Uint8Array(Math.min(chain.writableBytes, 4096)));
      },
      { budget: 64 },
    );
    for (const round of rounds) {
      for (const [where, at, value] of round) space.writeU32(gpa((where === "ring" ? RING : TABLES) + at * 4), value);
      steps = 0;
      queue.kick();
      for (let turns = 0; turns < 8 && trial.turn(); turns++);
      expect(steps).toBeLessThanOrEqual(64 * 9);
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
