/**
 * What every memory provider must do, as vitest tests: of its own, and mapped in a space.
 *
 * @module
 */
import { gpa, type MemoryProvider, PAGE_SIZE, VirtAddressSpace, type VmapChange } from "@virtspace/virt-address-space";
import { describe, expect, test } from "vitest";

// Every host of ours has it; the language's own library does not name it.
declare function structuredClone<T>(value: T): T;

/** A provider made for one test, and the ways to shake it. */
export interface MemoryProviderFixture {
  /** The provider; zeroed, and retained by nobody. */
  readonly memory: MemoryProvider;
  /** Makes the buffer move (an engine's memory grows, a file is mapped anew); left out where it never does. */
  readonly move?: () => void;
  /** Host writes that the provider was told of, as `[offset, length]`; where it observes writes. */
  readonly observed?: () => readonly (readonly [number, number])[];
  /** Opens what `share()` described, as another thread would; where it can be shared. */
  readonly open?: (descriptor: NonNullable<ReturnType<MemoryProvider["share"]>>) => MemoryProvider;
  /** Whether what the host holds for the memory (fd, mapping) is still there; where that can be told. */
  readonly held?: () => boolean;
}

/** How the suite is run. */
export interface MemoryProviderSuiteOptions {
  /** For the report: what is tested. */
  readonly name: string;
  /** Makes a provider of a size, bytes. */
  readonly create: (size: number) => MemoryProviderFixture;
}

const SIZE = 4 * PAGE_SIZE;

function map(memory: MemoryProvider): VirtAddressSpace {
  const space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "memory", base: gpa(0x10_0000), memory });
  return space;
}

/**
 * Registers the suite with vitest.
 *
 * @example
 * ```ts
 * import { memoryProviderSuite } from "@virtspace/conformance";
 * import { arrayBufferMemory } from "@virtspace/virt-address-space";
 * memoryProviderSuite({ name: "array buffer", create: (size) => ({ memory: arrayBufferMemory(size) }) });
 * ```
 */
export function memoryProviderSuite({ name, create }: MemoryProviderSuiteOptions): void {
  describe(`memory provider: ${name}`, () => {
    describe("by itself", () => {
      test("has a kind, its size, and zeros", () => {
        const { memory } = create(SIZE);
        using _ = memory.retain();
        expect(memory.kind).toMatch(/^[a-z][a-z0-9-]*$/);
        expect(memory.size).toBe(SIZE);
        expect(memory.bytes()).toHaveLength(SIZE);
        expect(memory.bytes().every((byte) => byte === 0)).toBe(true);
      });

      test("may be of a size that is no whole number of pages, and of one byte", () => {
        for (const size of [1, 5, PAGE_SIZE + 1]) {
          const { memory } = create(size);
          using _ = memory.retain();
          expect(memory.size).toBe(size);
          expect(memory.bytes()).toHaveLength(size);
        }
      });

      test.each([0, -1, 0.5, Number.NaN, 2 ** 53])("refuses to be of %d bytes", (size) => {
        expect(() => create(size)).toThrow(expect.objectContaining({ code: "invalid-length" }));
      });

      test("gives the same array until it moves", () => {
        const { memory } = create(SIZE);
        using _ = memory.retain();
        expect(memory.bytes()).toBe(memory.bytes());
      });

      test("is freed once, with its last reference, in any order", () => {
        const { memory, held } = create(SIZE);
        const [one, two, three] = [memory.retain(), memory.retain(), memory.retain()];
        two[Symbol.dispose]();
        two[Symbol.dispose]();
        three[Symbol.dispose]();
        expect(memory.released).toBe(false);
        expect(memory.bytes()).toHaveLength(SIZE);
        expect(held?.() ?? true).toBe(true);
        one[Symbol.dispose]();
        expect(memory.released).toBe(true);
        expect(held?.() ?? false).toBe(false);
        one[Symbol.dispose]();
      });

      test("has no bytes once it is freed, and can't be retained; arrays from before don't crash", () => {
        const { memory } = create(SIZE);
        const reference = memory.retain();
        const before = memory.bytes();
        before[0] = 1;
        reference[Symbol.dispose]();
        expect(memory.bytes()).toHaveLength(0);
        expect([undefined, 1]).toContain(before[0]);
        before[1] = 2;
        expect(() => memory.retain()).toThrow(expect.objectContaining({ code: "released" }));
      });

      test("takes an abandoned reference as if it had never been", () => {
        const { memory } = create(SIZE);
        const tried = memory.retain();
        tried.abandon();
        tried[Symbol.dispose]();
        expect(memory.released).toBe(false);
        memory.retain()[Symbol.dispose]();
        expect(memory.released).toBe(true);
      });

      test("names only parts of itself as populated, in order", () => {
        const { memory } = create(SIZE);
        using _ = memory.retain();
        memory.bytes()[PAGE_SIZE + 3] = 1;
        const extents = memory.populated();
        if (extents === undefined) return;
        let end = 0;
        let found = false;
        for (const { offset, length } of extents) {
          expect(offset).toBeGreaterThanOrEqual(end);
          end = offset + length;
          expect(end).toBeLessThanOrEqual(SIZE);
          found ||= offset <= PAGE_SIZE + 3 && end > PAGE_SIZE + 3;
        }
        expect(found).toBe(true);
      });
    });

    describe("in a space", () => {
      test("is read and written by every kind of access", () => {
        const { memory } = create(SIZE);
        using space = map(memory);
        const bytes = Uint8Array.from({ length: PAGE_SIZE + 1 }, (_, i) => i % 253);
        expect(space.copyTo(gpa(0x10_0fff), bytes)).toBe(0);
        const back = new Uint8Array(bytes.length);
        expect(space.copyFrom(gpa(0x10_0fff), back)).toBe(0);
        expect(back).toEqual(bytes);
        expect(memory.bytes().subarray(0xfff, 0xfff + bytes.length)).toEqual(bytes);
        expect(space.writeBigU64(gpa(0x10_0008), 0x1122_3344_5566_7788n)).toBe(true);
        expect(space.readU32(gpa(0x10_000c))).toBe(0x1122_3344);
        expect(space.atomicCompareExchange(gpa(0x10_000c), 32, 0x1122_3344, 7)).toBe(0x1122_3344);
        expect(space.fill(gpa(0x10_3ff0), 17, 0xab)).toBe(1);
        using window = space.vmap(gpa(0x10_3ff0), 16);
        expect(window.u32[3]).toBe(0xabab_abab);
      });

      test("is retained while it is mapped, and freed when it is unmapped", async () => {
        const { memory, held } = create(SIZE);
        using space = map(memory);
        const window = space.vmap(gpa(0x10_0000), 64);
        window.u32[0] = 1;
        await space.unmap(space.regions[0] as NonNullable<(typeof space.regions)[0]>);
        expect(memory.released).toBe(true);
        expect(held?.() ?? false).toBe(false);
        expect(window.u32[0]).toBeUndefined();
        expect(space.readU32(gpa(0x10_0000))).toBeUndefined();
      });

      test("may be mapped in two spaces at once; the second keeps it", () => {
        const { memory } = create(SIZE);
        using one = map(memory);
        using two = map(memory);
        one.writeU32(gpa(0x10_0000), 42);
        expect(two.readU32(gpa(0x10_0000))).toBe(42);
        one[Symbol.dispose]();
        expect(memory.released).toBe(false);
        expect(two.readU32(gpa(0x10_0000))).toBe(42);
        two[Symbol.dispose]();
        expect(memory.released).toBe(true);
      });

      test("is saved and restored", async () => {
        const { memory } = create(SIZE);
        using space = map(memory);
        space.copyTo(gpa(0x10_1234), new Uint8Array([1, 2, 3]));
        const other = create(SIZE);
        using restored = await VirtAddressSpace.restore(space.save(), { memory: () => other.memory });
        expect(other.memory.bytes()).toEqual(memory.bytes());
        expect(restored.readU16(gpa(0x10_1234))).toBe(0x0201);
      });

      test("tells of host writes, where it wants to know", () => {
        const { memory, observed } = create(SIZE);
        expect(memory.observesWrites).toBe(observed !== undefined);
        if (observed === undefined) return;
        using space = map(memory);
        space.writeU32(gpa(0x10_0010), 1);
        space.copyTo(gpa(0x10_1000), new Uint8Array(100));
        expect(observed()).toEqual([
          [0x10, 4],
          [0x1000, 100],
        ]);
      });
    });

    describe("that moves", () => {
      test("is found again by readers and windows, with its bytes", () => {
        const { memory, move } = create(SIZE);
        if (move === undefined) return;
        using space = map(memory);
        const changes: VmapChange[] = [];
        using window = space.vmap(gpa(0x10_0100), 64, { onChange: (change) => changes.push(change) });
        const reader = space.access();
        for (let round = 1; round <= 3; round++) {
          window.u32[0] = round;
          expect(reader.readU32(gpa(0x10_0100))).toBe(round);
          const before = memory.bytes();
          move();
          expect(memory.bytes()).not.toBe(before);
          expect(window.u32[0]).toBe(round);
          expect(reader.readU32(gpa(0x10_0100))).toBe(round);
          expect(space.writeU32(gpa(0x10_0104), round)).toBe(true);
          expect(window.u32[1]).toBe(round);
        }
        expect(changes.every((change) => change === "moved")).toBe(true);
      });
    });

    describe("in another thread", () => {
      test("is the same memory, or can't go there at all", () => {
        const { memory, open } = create(SIZE);
        using _ = memory.retain();
        const descriptor = memory.share();
        expect(descriptor === undefined).toBe(open === undefined);
        if (descriptor === undefined || open === undefined) return;
        expect(descriptor.kind).toBe(memory.kind);
        expect(descriptor.size).toBe(SIZE);
        const there = open(structuredClone(descriptor));
        using _there = there.retain();
        expect([there.kind, there.size]).toEqual([memory.kind, SIZE]);
        memory.bytes()[5] = 1;
        there.bytes()[6] = 2;
        expect([there.bytes()[5], memory.bytes()[6]]).toEqual([1, 2]);
        for (const forged of [
          { ...descriptor, size: SIZE * 2 },
          { ...descriptor, payload: undefined, fds: [] },
        ]) {
          expect(() => open(forged)).toThrow();
        }
      });
    });
  });
}
