import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { type GuestAddress, gpa } from "../address/addresses.ts";
import { arrayBufferMemory } from "../memory/array-buffer-memory.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import { Region } from "../region/region.ts";
import { EMPTY_VIEW } from "./flat-view.ts";
import { flatten, type PlacedRegion } from "./flatten.ts";
import { SpaceMemory } from "./space-memory.ts";

const memories = new Map<MemoryProvider, SpaceMemory>();
const shared = arrayBufferMemory(0x10000);

function memoryOf(provider: MemoryProvider): SpaceMemory {
  const memory = memories.get(provider) ?? new SpaceMemory(1, provider, () => {});
  memories.set(provider, memory);
  return memory;
}

function ram(base: number, size: number, priority = 0): PlacedRegion {
  const name = `ram at ${base}`;
  return { base, region: new Region({ name, kind: "ram", size, priority, offset: 0, memory: shared }) };
}

describe("a flat view", () => {
  test("finds nothing where nothing is mapped", () => {
    expect(EMPTY_VIEW.find(0)).toBeUndefined();
    expect(EMPTY_VIEW.lookup(gpa(2 ** 52 - 1))).toBeUndefined();
  });

  test("finds a range from its first to its last byte, and not beside it", () => {
    const view = flatten([ram(0x1000, 0x10), ram(2 ** 51, 0x20)], 1, EMPTY_VIEW, memoryOf);
    expect([0xfff, 0x1000, 0x100f, 0x1010].map((address) => view.find(address)?.start)).toEqual([undefined, 0x1000, 0x1000, undefined]);
    expect([2 ** 51 - 1, 2 ** 51, 2 ** 51 + 0x1f, 2 ** 51 + 0x20].map((address) => view.find(address)?.start)).toEqual([
      undefined,
      2 ** 51,
      2 ** 51,
      undefined,
    ]);
  });

  test("refuses to look up what is no address", () => {
    for (const address of [-1, 0.5, Number.NaN, 2 ** 52]) {
      expect(() => EMPTY_VIEW.lookup(address as GuestAddress)).toThrow(expect.objectContaining({ code: "invalid-address" }));
    }
  });

  const layout = fc.array(
    fc.record({
      // Small numbers collide, large ones make maps that are as uneven as real ones.
      base: fc.oneof(
        fc.nat(64),
        fc.nat(2000),
        fc.maxSafeNat().map((n) => n % 2 ** 51),
      ),
      size: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 0x10000 })),
      priority: fc.nat(3),
    }),
    { maxLength: 40 },
  );

  test.prop([layout, fc.array(fc.nat(3000), { maxLength: 50 })], { numRuns: 2000 })(
    "shows at every address the region of greatest priority, as a naive search does",
    (wanted, addresses) => {
      // Regions of one priority may not overlap: later ones that would are left out.
      const regions: PlacedRegion[] = [];
      for (const { base, size, priority } of wanted) {
        const rival = regions.some(
          (other) => other.region.priority === priority && base < other.base + other.region.size && other.base < base + size,
        );
        if (!rival) regions.push(ram(base, size, priority));
      }
      const view = flatten(regions, 1, EMPTY_VIEW, memoryOf);
      const edges = regions.flatMap(({ base, region }) => [base - 1, base, base + region.size - 1, base + region.size]);
      for (const address of [...addresses, ...edges].filter((each) => each >= 0)) {
        const covering = regions.filter(({ base, region }) => base <= address && address < base + region.size);
        covering.sort((a, b) => b.region.priority - a.region.priority);
        const range = view.find(address);
        expect(range?.region).toBe(covering[0]?.region);
        if (range !== undefined) expect(range.offset + (address - range.start)).toBe(address - (covering[0] as PlacedRegion).base);
      }
      for (let i = 1; i < view.ranges.length; i++) {
        expect(view.ranges[i]?.start).toBeGreaterThanOrEqual(view.ranges[i - 1]?.end as number);
      }
    },
  );

  test("keeps the ranges that did not change as they were", () => {
    const first = ram(0, 0x1000);
    const second = ram(0x2000, 0x1000);
    const before = flatten([first, second], 1, EMPTY_VIEW, memoryOf);
    const after = flatten([first, second, ram(0x2800, 0x10, 1)], 2, before, memoryOf);
    expect(after.ranges[0]).toBe(before.ranges[0]);
    expect(after.ranges.map(({ start, size }) => [start, size])).toEqual([
      [0, 0x1000],
      [0x2000, 0x800],
      [0x2800, 0x10],
      [0x2810, 0x7f0],
    ]);
  });
});
