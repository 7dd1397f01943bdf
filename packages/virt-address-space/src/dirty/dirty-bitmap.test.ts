import { expect, test } from "vitest";
import { arrayBufferMemory, EngineMemory, gpa, MemoryProvider, sharedMemory, VirtAddressSpace } from "../index.ts";
import { DirtyBitmap } from "./dirty-bitmap.ts";

const PAGE = 4096;

test("a mark whose thread died half-way hides nobody else's", () => {
  const half = new DirtyBitmap(64 * PAGE);
  const other = new DirtyBitmap(64 * PAGE, half.buffer);
  // The bit is set, its summaries are not: there the thread died.
  new Int32Array(half.buffer)[0] = 1;
  other.mark(0);
  other.repair();
  const found: number[] = [];
  other.harvest((first, pages) => found.push(first, pages));
  expect(found).toEqual([0, 1]);
});

test("what was marked while other threads write is told twice, once where nobody else does", async () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(16 * PAGE) });
  using log = space.dirtyLog("client");
  const harvest = (): number[] => log.harvest().flatMap(({ address, length }) => [address / PAGE, length / PAGE]);
  space.writeU8(gpa(0), 1);
  expect([harvest(), harvest()]).toEqual([[0, 1], []]);

  const holder = await VirtAddressSpace.attach(space.descriptor());
  await log.ready;
  space.writeU8(gpa(2 * PAGE), 1);
  space.writeU8(gpa(5 * PAGE), 1);
  expect(harvest()).toEqual([2, 1, 5, 1]);
  space.writeU8(gpa(3 * PAGE), 1);
  expect(harvest()).toEqual([2, 2, 5, 1]);
  expect(harvest()).toEqual([3, 1]);
  expect(harvest()).toEqual([]);
  holder[Symbol.dispose]();
});

test("a listener that refuses a log leaves none behind, and one that refuses its end is dropped", () => {
  const faults: string[] = [];
  using space = VirtAddressSpace.create({ name: "guest", onFault: ({ code }) => faults.push(code) });
  space.map({ name: "ram", base: gpa(0), memory: arrayBufferMemory(PAGE) });
  let logging = 0;
  let refuse = true;
  const refusing = {
    name: "refusing",
    logStarted: () => {
      if (refuse) throw new Error("no");
      logging++;
    },
    logStopped: () => {
      throw new Error("never");
    },
  };
  using _ = space.listen(refusing);
  expect(() => space.dirtyLog("client")).toThrow(expect.objectContaining({ code: "listener-failed" }));
  let recording = false;
  const watching = {
    logStarted: () => {
      recording = true;
    },
    logStopped: () => {
      recording = false;
    },
  };
  using __ = space.listen({ name: "late", ...watching });
  expect(recording).toBe(false);
  refuse = false;
  const log = space.dirtyLog("client");
  expect([logging, recording]).toEqual([1, true]);
  log[Symbol.dispose]();
  log[Symbol.dispose]();
  expect([faults, recording]).toEqual([["listener-failed"], false]);
  using ___ = space.listen({ name: "last", ...watching });
  expect(recording).toBe(false);
  expect(() => log.harvest()).toThrow(expect.objectContaining({ code: "released" }));
});

test("the guest's own writes, as a source tells them, are no host writes to the engine", () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const buffer = new ArrayBuffer(4 * PAGE);
  const told: number[] = [];
  const memory = new EngineMemory({ size: 4 * PAGE, buffer: () => buffer, hostWrote: (offset) => told.push(offset) });
  space.map({ name: "ram", base: gpa(0), memory });
  using log = space.dirtyLog("client");
  using _ = space.addDirtySource({ name: "engine", sync: (mark) => mark(gpa(PAGE), 8) });
  log.harvest();
  expect(log.harvest()).toEqual([{ address: PAGE, length: PAGE }]);
  expect(told).toEqual([]);
  space.writeU8(gpa(5), 1);
  expect(told).toEqual([5]);
});

test("a region over memory that the space has already is new to a client", () => {
  using space = VirtAddressSpace.create({ name: "guest" });
  const memory = arrayBufferMemory(8 * PAGE);
  space.map({ name: "low", base: gpa(0), memory, size: 4 * PAGE });
  using log = space.dirtyLog("client");
  log.harvest();
  space.map({ name: "high", base: gpa(0x10_0000), memory, offset: 4 * PAGE });
  expect(log.harvest()).toEqual([{ address: 0x10_0000, length: 4 * PAGE }]);
  // What an overlay hides is told when it shows again; what shows all the while is not told for that.
  const overlay = space.map({ name: "overlay", base: gpa(PAGE), memory: arrayBufferMemory(PAGE), priority: 1 });
  log.harvest();
  space.unmap(overlay);
  expect(log.harvest()).toEqual([{ address: PAGE, length: PAGE }]);
});

test("a provider that throws while it is freed is reported, and the others are freed", () => {
  const faults: unknown[] = [];
  const space = VirtAddressSpace.create({ name: "guest", onFault: (fault) => faults.push(fault) });
  class Stubborn extends MemoryProvider {
    readonly kind = "stubborn";
    override bytes(): Uint8Array {
      return new Uint8Array(0);
    }
    protected override free(): void {
      throw new Error("EINVAL");
    }
  }
  const good = arrayBufferMemory(PAGE);
  space.map({ name: "stubborn", base: gpa(0), memory: new Stubborn(PAGE) });
  space.map({ name: "good", base: gpa(PAGE), memory: good });
  const [stubborn, other] = space.regions as [never, never];
  space.transaction((change) => {
    change.unmap(stubborn);
    change.unmap(other);
  });
  expect([good.released, space.regions]).toEqual([true, []]);
  expect(faults).toEqual([expect.objectContaining({ code: "provider-failed", name: "stubborn memory" })]);
  space[Symbol.dispose]();
});
