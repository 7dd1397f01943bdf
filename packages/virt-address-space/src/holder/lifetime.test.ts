import { fc, test as prop } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { arrayBufferMemory, gpa, LocalNotifier, MemoryProvider, type SpaceFault, type SpaceReference, VirtAddressSpace } from "../index.ts";

const PAGE = 4096;

/** Memory that counts how often it was freed. */
class CountedMemory extends MemoryProvider {
  readonly kind = "counted";
  freed = 0;
  #bytes = new Uint8Array(PAGE);

  constructor() {
    super(PAGE);
  }
  override bytes(): Uint8Array {
    return this.#bytes;
  }
  protected override free(): void {
    this.freed++;
    this.#bytes = new Uint8Array(0);
  }
}

function guest(graceMilliseconds = 50): { space: VirtAddressSpace; memory: CountedMemory; faults: SpaceFault[] } {
  const faults: SpaceFault[] = [];
  const space = VirtAddressSpace.create({ name: "guest", graceMilliseconds, onFault: (fault) => faults.push(fault) });
  const memory = new CountedMemory();
  space.map({ name: "ram", base: gpa(0), memory });
  return { space, memory, faults };
}

describe("a space lives until its last holder lets go", () => {
  prop.prop([fc.array(fc.nat(100), { minLength: 1, maxLength: 12 }), fc.array(fc.boolean(), { minLength: 12, maxLength: 12 })])(
    "in any order, with references of references, and put twice",
    (order, twice) => {
      const { space, memory } = guest();
      const held: (SpaceReference | VirtAddressSpace)[] = [space];
      for (const [i, n] of order.entries()) {
        const from = held[n % held.length];
        held.push(i % 2 === 0 || from instanceof VirtAddressSpace ? space.bind({ name: `holder ${i}` }) : (from as SpaceReference).get());
      }
      expect(space.holders).toHaveLength(held.length);
      let left = held.length;
      for (const [i, n] of [...order, 0].entries()) {
        const [reference] = held.splice(n % held.length, 1) as unknown as [Disposable];
        reference[Symbol.dispose]();
        if (twice[i % twice.length] === true) reference[Symbol.dispose]();
        left--;
        expect(memory.freed).toBe(left === 0 ? 1 : 0);
        expect(space.released).toBe(left === 0);
      }
      expect(space.readU8(gpa(0))).toBeUndefined();
      expect(space.copyTo(gpa(0), new Uint8Array(4))).toBe(4);
    },
  );

  test("and refuses everything else afterwards", () => {
    const { space, memory } = guest();
    const { space: other } = guest();
    const reference = space.bind({ name: "foo" });
    reference.put();
    space[Symbol.dispose]();
    expect(memory.released).toBe(true);
    const [region] = other.regions as [(typeof other.regions)[number]];
    const calls = [
      () => space.map({ name: "late", base: gpa(0), memory: new CountedMemory() }),
      () => space.unmap(region),
      () => space.transaction(() => {}),
      () => space.bind({ name: "late" }),
      () => space.batch(),
      () => space.vmap(gpa(0), 4),
      () => space.tryVmap(gpa(0), 4),
      () => space.sgmap([]),
      () => space.listen({ name: "late" }),
      () => space.dirtyLog("late"),
      () => space.descriptor(),
      () => space.save(),
      () => reference.get(),
    ];
    for (const call of calls) expect(call).toThrow(expect.objectContaining({ code: "released" }));
    other[Symbol.dispose]();
  });

  test("revokes windows, tells listeners, and ends doorbells", () => {
    const { space } = guest();
    const told: string[] = [];
    space.listen({
      name: "kvm",
      removed: ({ region }) => told.push(`-${region.name}`),
      commit: ({ ranges }) => told.push(`commit ${ranges.length}`),
    });
    told.splice(0);
    const window = space.vmap(gpa(0), 16, { onChange: (change) => told.push(change) });
    space[Symbol.dispose]();
    expect(told).toEqual(["-ram", "commit 0", "revoked"]);
    expect(window.valid).toBe(false);
  });

  test("in the middle of a transaction: the transaction fails, the memory is freed once", () => {
    const { space, memory } = guest();
    const late = new CountedMemory();
    expect(() =>
      space.transaction((change) => {
        change.map({ name: "late", base: gpa(0x10000), memory: late });
        space[Symbol.dispose]();
      }),
    ).toThrow(expect.objectContaining({ code: "released" }));
    expect([memory.freed, late.freed]).toEqual([1, 0]);
  });

  test("even when a listener objects to the end: it is dropped and reported", () => {
    const { space, memory, faults } = guest();
    space.listen({
      name: "stubborn",
      removed: () => {
        throw new Error("I need it");
      },
    });
    space[Symbol.dispose]();
    expect(memory.freed).toBe(1);
    expect(faults).toEqual([expect.objectContaining({ code: "listener-failed", name: "stubborn" })]);
  });
});

describe("what is unmapped is freed when every holder has let go", () => {
  test("at once, where nobody holds an old view", async () => {
    const { space, memory } = guest();
    const settled = space.unmap(space.regions[0] as never);
    expect(memory.freed).toBe(1);
    await settled;
  });

  test("not while a batch is open on an older view", async () => {
    const { space, memory } = guest();
    const batch = space.batch();
    let settled = false;
    const unmapped = space.unmap(space.regions[0] as never).then(() => {
      settled = true;
    });
    const later = space.batch();
    await Promise.resolve();
    expect([memory.freed, settled, batch.view.ranges.length, later.view.ranges.length]).toEqual([0, false, 1, 0]);
    batch[Symbol.dispose]();
    await unmapped;
    expect(memory.freed).toBe(1);
    later[Symbol.dispose]();
  });

  test("not before a holder that is asked lets go", async () => {
    const { space, memory } = guest(500);
    let letGo = (): void => {};
    const asked: number[] = [];
    using _ = space.bind({
      name: "poller",
      letGo: ({ generation }) =>
        new Promise<void>((resolve) => {
          asked.push(generation);
          letGo = resolve;
        }),
    });
    const unmapped = space.unmap(space.regions[0] as never);
    await Promise.resolve();
    expect([asked, memory.freed]).toEqual([[2], 0]);
    letGo();
    await unmapped;
    expect(memory.freed).toBe(1);
  });

  test("never under one that does not: the error names it after the grace time, and its leaving frees the memory", async () => {
    const { space, memory } = guest(30);
    const stuck = space.bind({ name: "stuck", letGo: () => new Promise(() => {}) });
    using _quick = space.bind({ name: "quick", letGo: () => {} });
    await expect(space.unmap(space.regions[0] as never)).rejects.toMatchObject({
      code: "holder-unresponsive",
      details: { holders: ["stuck"], milliseconds: 30 },
      message: expect.stringContaining('"stuck" did not let go within 30 ms'),
    });
    expect([memory.freed, space.view().ranges.length]).toEqual([0, 0]);
    stuck.put();
    expect(memory.freed).toBe(1);
  });

  test("nor under one that throws instead", async () => {
    const { space, memory, faults } = guest(30);
    const broken = space.bind({
      name: "broken",
      letGo: () => {
        throw new Error("a bug");
      },
    });
    await expect(space.unmap(space.regions[0] as never)).rejects.toMatchObject({ code: "holder-unresponsive" });
    expect(faults).toEqual([expect.objectContaining({ name: "broken" })]);
    expect(memory.freed).toBe(0);
    broken.put();
    expect(memory.freed).toBe(1);
  });

  test("an error that nobody waits for is no unhandled rejection", async () => {
    const { space } = guest(10);
    using _ = space.bind({ name: "stuck", letGo: () => new Promise(() => {}) });
    space.move(space.regions[0] as never, gpa(0x10000));
    await new Promise((resolve) => setTimeout(resolve, 40));
  });

  test("the release of the space waits for open batches too", () => {
    const { space, memory } = guest();
    const batch = space.batch();
    space[Symbol.dispose]();
    expect([space.released, memory.freed]).toEqual([true, 0]);
    batch[Symbol.dispose]();
    expect(memory.freed).toBe(1);
  });
});

test.each([
  ["no name", { name: "" }, "invalid-argument"],
  ["no size", { name: "x", size: 0 }, "invalid-length"],
  ["a fractional size", { name: "x", size: 1.5 }, "invalid-length"],
  ["no grace", { name: "x", graceMilliseconds: 0 }, "invalid-length"],
])("a space with %s is refused", (_, options, code) => {
  expect(() => VirtAddressSpace.create(options)).toThrow(expect.objectContaining({ code }));
});

test("a reference that was got from an asked holder's is asked for as long as one of the two is held", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const asked: number[] = [];
  const first = space.bind({ name: "vcpu", letGo: (view) => void asked.push(view.generation) });
  const second = first.get();
  first.put();
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4096) });
  await Promise.resolve();
  second.put();
  space.map({ name: "more", base: gpa(4096), memory: arrayBufferMemory(4096) });
  await Promise.resolve();
  expect(asked).toEqual([1]);
});

test("an unmap that nobody waits for is no unhandled rejection", async () => {
  using space = VirtAddressSpace.create({ name: "guest", graceMilliseconds: 5 });
  const batch = space.batch();
  void space.unmap(space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(4096) }));
  // vitest fails a run in which a rejection was not handled.
  await new Promise((resolve) => setTimeout(resolve, 30));
  batch[Symbol.dispose]();
});

test("doorbells, listeners and logs may be disposed inside a listener and a transaction: it takes effect after it", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const bell = space.addDoorbell({ address: gpa(0x1000), length: 4, notifier: new LocalNotifier() });
  const log = space.dirtyLog("client");
  let on = false;
  const quiet: string[] = [];
  const listening = space.listen({ name: "other", commit: () => quiet.push("told") });
  using _ = space.listen({
    name: "cleaner",
    commit() {
      if (!on) return;
      for (const each of [bell, log, listening]) each[Symbol.dispose]();
    },
  });
  on = true;
  space.map({ name: "ram", base: gpa(0x10_0000), memory: arrayBufferMemory(4096) });
  await new Promise((resolve) => setTimeout(resolve, 5));
  quiet.length = 0;
  space.map({ name: "more", base: gpa(0x20_0000), memory: arrayBufferMemory(4096) });
  expect([space.doorbells, quiet]).toEqual([[], []]);
  const second = space.addDoorbell({ address: gpa(0x1000), length: 4, notifier: new LocalNotifier() });
  space.transaction(() => second[Symbol.dispose]());
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(space.doorbells).toEqual([]);
});
