/**
 * What becomes of a space when a holder, a plug-in or a host misbehaves. Most of these are regressions, named after what
 * broke. Holders attach in the owner's thread here, which makes no difference to them but lets a test see both sides.
 */
import { expect, test } from "vitest";
import {
  type AttachDescriptorOptions,
  gpa,
  type MemoryOpener,
  MemoryProvider,
  SharedNotifier,
  type SpaceFault,
  sharedMemory,
  VirtAddressSpace,
} from "../index.ts";

const PAGE = 4096;
const tick = (milliseconds = 20): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Memory that counts how often it is freed, as a mapped file would be. */
class CountedMemory extends MemoryProvider {
  readonly kind = "counted";
  freed = 0;
  #bytes = new Uint8Array(PAGE);

  override bytes(): Uint8Array {
    return this.#bytes;
  }

  override share() {
    return { kind: this.kind, size: PAGE };
  }

  protected override free(): void {
    this.freed++;
    this.#bytes = new Uint8Array(0);
  }
}

const counted = (): CountedMemory => new CountedMemory(PAGE);
const openerOf = (open: () => CountedMemory): MemoryOpener => ({ kind: "counted", open });

function guest(onFault?: (fault: SpaceFault) => void) {
  const space = VirtAddressSpace.create({ name: "guest", graceMilliseconds: 100, ...(onFault && { onFault }) });
  const memory = sharedMemory(64 * PAGE);
  return { space, memory, ram: space.map({ name: "ram", base: gpa(0), memory }) };
}

const attach = (space: VirtAddressSpace, options: AttachDescriptorOptions = {}): Promise<VirtAddressSpace> =>
  VirtAddressSpace.attach(space.descriptor(), { name: "holder", ...options });

const names = (space: VirtAddressSpace): string[] => space.regions.map(({ name }) => name);

test("a batch in an attached thread keeps its own mapping of what is unmapped, and so does one that outlives its space", async () => {
  const { space } = guest();
  const regions = ["one", "two"].map((name, i) => space.map({ name, base: gpa(0x10_0000 * (i + 1)), memory: counted() }));
  const opened: CountedMemory[] = [];
  const holder = await attach(space, {
    memory: [
      openerOf(() => {
        const memory = counted();
        opened.push(memory);
        return memory;
      }),
    ],
  });
  const batch = holder.batch();
  space.unmap(regions[0] as never).catch(() => {});
  await tick();
  expect(opened.map(({ freed }) => freed)).toEqual([0, 0]);
  holder[Symbol.dispose]();
  await tick();
  expect(opened.map(({ freed }) => freed)).toEqual([0, 0]);
  batch[Symbol.dispose]();
  expect(opened.map(({ freed }) => freed)).toEqual([1, 1]);
  space[Symbol.dispose]();
});

test("memory that can't be opened is out of reach, is reported, and the rest of the commit holds", async () => {
  const { space } = guest();
  const faults: SpaceFault[] = [];
  const fails = openerOf(() => {
    throw new Error("EMFILE");
  });
  const holder = await attach(space, { memory: [fails], onFault: (fault) => faults.push(fault) });
  space.transaction((change) => {
    change.map({ name: "x", base: gpa(0x10_0000), memory: counted() });
    change.map({ name: "y", base: gpa(0x20_0000), memory: sharedMemory(PAGE) });
  });
  await tick();
  expect([names(holder), holder.current]).toEqual([["ram", "x", "y"], true]);
  expect(holder.tryVmap(gpa(0x10_0000), 4)).toMatchObject({ code: "elsewhere", region: "x" });
  expect(faults).toEqual([expect.objectContaining({ code: "opener-failed" })]);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("an attach whose memory can't be opened fails with the reason, and leaves nothing", async () => {
  const { space } = guest();
  space.map({ name: "x", base: gpa(0x10_0000), memory: counted() });
  const fails = openerOf(() => {
    throw new Error("EMFILE");
  });
  await expect(attach(space, { memory: [fails] })).rejects.toThrow("EMFILE");
  await tick();
  expect(space.holders).toEqual(["its creator"]);
  space[Symbol.dispose]();
  expect(space.released).toBe(true);
});

test("a descriptor describes the map of the moment in which it is attached: nothing that was freed before", async () => {
  const { space } = guest();
  const memory = counted();
  const region = space.map({ name: "x", base: gpa(0x10_0000), memory });
  const descriptor = space.descriptor();
  await space.unmap(region);
  expect(memory.freed).toBe(1);
  const opened: boolean[] = [];
  const holder = await VirtAddressSpace.attach(descriptor, {
    memory: [
      openerOf(() => {
        opened.push(true);
        return counted();
      }),
    ],
  });
  expect([opened, names(holder)]).toEqual([[], ["ram"]]);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("a descriptor that nobody took does not keep memory of one thread out of the map", async () => {
  const { space } = guest();
  const descriptor = space.descriptor();
  space.map({
    name: "mine",
    base: gpa(0x10_0000),
    memory: new (class extends CountedMemory {
      override share() {
        return undefined as never;
      }
    })(PAGE),
  });
  await expect(VirtAddressSpace.attach(descriptor, { timeoutMilliseconds: 500 })).rejects.toMatchObject({ code: "not-shareable" });
  await tick();
  expect(space.holders).toEqual(["its creator"]);
  space[Symbol.dispose]();
});

test("a listener that calls quiesce() is refused, and no commit is lost by it", async () => {
  const { space } = guest();
  const { receiveMessageOnPort } = (await import(/* @vite-ignore */ "node:worker_threads" as string).catch(() => ({}))) as {
    receiveMessageOnPort?: never;
  };
  const holder = await attach(space, receiveMessageOnPort === undefined ? {} : { receive: receiveMessageOnPort });
  let on = false;
  const refusals: unknown[] = [];
  holder.listen({
    name: "eager",
    commit() {
      if (!on) return;
      try {
        holder.quiesce();
      } catch (error) {
        refusals.push(error);
      }
    },
  });
  on = true;
  space.map({ name: "x", base: gpa(0x10_0000), memory: sharedMemory(PAGE) });
  space.map({ name: "y", base: gpa(0x20_0000), memory: sharedMemory(PAGE) });
  await tick();
  expect(names(holder)).toEqual(["ram", "x", "y"]);
  expect(refusals).toEqual([expect.objectContaining({ code: "busy" }), expect.objectContaining({ code: "busy" })]);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("two doorbells of one notifier are removed without disposing their author's notifier", async () => {
  const { space } = guest();
  const holder = await attach(space);
  const notifier = new SharedNotifier();
  let got = 0;
  notifier.subscribe((count) => {
    got += count;
  });
  await holder.propose((change) => {
    for (const datamatch of [1, 2]) change.addDoorbell({ address: gpa(0x10_0000), length: 4, datamatch, notifier });
  });
  for (const bell of holder.doorbells) bell[Symbol.dispose]();
  await tick();
  expect(space.doorbells).toEqual([]);
  notifier.signal();
  await tick();
  expect(got).toBe(1);
  for (const each of [notifier, holder, space]) each[Symbol.dispose]();
});

test("an attached space that is disposed inside a listener is let go all the same", async () => {
  const { space } = guest();
  const holder = await attach(space);
  let on = false;
  holder.listen({ name: "leaver", commit: () => on && holder[Symbol.dispose]() });
  on = true;
  space.map({ name: "x", base: gpa(0x10_0000), memory: sharedMemory(PAGE) });
  await tick();
  expect(space.holders).toEqual(["its creator"]);
  space[Symbol.dispose]();
  expect(space.released).toBe(true);
});

test("what a holder leaves behind is cleaned up though a listener of the owner's refuses, and the space is released", async () => {
  const faults: SpaceFault[] = [];
  const { space } = guest((fault) => faults.push(fault));
  const holder = await attach(space);
  await holder.propose((change) => change.map({ name: "theirs", base: gpa(0x10_0000), memory: sharedMemory(PAGE) }));
  space.listen({
    name: "refuser",
    removed(range) {
      if (range.region.name === "theirs") throw new Error("no");
    },
  });
  const io = await holder.propose((change) =>
    change.map({ kind: "io", name: "window", base: gpa(0x20_0000), size: 8, handler: { read: () => 1, write: () => {} } }),
  );
  expect(io.name).toBe("window");
  holder[Symbol.dispose]();
  await tick();
  expect(space.holders).toEqual(["its creator"]);
  space[Symbol.dispose]();
  expect(space.released).toBe(true);
  expect(faults.every(({ code }) => code === "listener-failed")).toBe(true);
});

test("memory that is unmapped and mapped again is the same memory to those who still use the old map", async () => {
  const { space, memory, ram } = guest();
  using keep = memory.retain();
  const holder = await attach(space);
  const log = space.dirtyLog("client");
  await log.ready;
  const batch = holder.batch();
  space.unmap(ram).catch(() => {});
  space.map({ name: "ram again", base: gpa(0), memory });
  log.harvest();
  log.harvest();
  holder.writeU32(gpa(0x3000), 7);
  expect(log.harvest()).toEqual([{ address: 0x3000, length: PAGE }]);
  await tick();
  holder.writeU32(gpa(0x5000), 7);
  expect(log.harvest()).toContainEqual({ address: 0x5000, length: PAGE });
  batch[Symbol.dispose]();
  await tick();
  expect([memory.released, space.readU32(gpa(0x3000))]).toEqual([false, 7]);
  for (const each of [holder, space]) each[Symbol.dispose]();
  await tick();
  expect(keep.memory.released).toBe(false);
});

test("two proposals of one memory are one memory, with one dirty log", async () => {
  const { space } = guest();
  const holder = await attach(space);
  const memory = sharedMemory(PAGE);
  await Promise.all(
    [0x10_0000, 0x20_0000].map((base) => holder.propose((change) => change.map({ name: `at ${base}`, base: gpa(base), memory }))),
  );
  const log = space.dirtyLog("client");
  await log.ready;
  log.harvest();
  log.harvest();
  holder.writeU32(gpa(0x20_0000), 1);
  expect(log.harvest().map(({ address }) => address)).toEqual([0x10_0000, 0x20_0000]);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("a holder that can't be told of a commit loses the space, and the others are told", async () => {
  const faults: SpaceFault[] = [];
  const { space } = guest((fault) => faults.push(fault));
  let orphaned = 0;
  const holder = await attach(space, { onOrphaned: () => orphaned++ });
  const notifier = new SharedNotifier();
  notifier.share = () => ({ kind: "odd", payload: () => "no value at all" });
  space.addDoorbell({ address: gpa(0x10_0000), length: 4, notifier });
  await tick();
  expect([orphaned, space.holders, space.doorbells.length]).toEqual([1, ["its creator"], 1]);
  expect(faults).toEqual([expect.objectContaining({ code: "protocol" })]);
  await expect(holder.propose(() => {})).rejects.toMatchObject({ code: "orphaned" });
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("nonsense in the words that a holder shares is no reason to fail a harvest", async () => {
  const { space } = guest();
  const descriptor = space.descriptor();
  const holder = await VirtAddressSpace.attach(descriptor);
  new Int32Array(descriptor.slot).set([1, 1, -5, 3], 1);
  using log = space.dirtyLog("client");
  expect(() => log.harvest()).not.toThrow();
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("what only the owner does is refused in an attached thread, with the way to do it", async () => {
  const { space } = guest();
  const holder = await attach(space);
  const refused = expect.objectContaining({ code: "not-owner" });
  expect(() => holder.map({ name: "x", base: gpa(0x10_0000), memory: sharedMemory(PAGE) })).toThrow(refused);
  expect(() => holder.dirtyLog("client")).toThrow(refused);
  expect(() => holder.descriptor()).toThrow(refused);
  expect(() => holder.addDirtySource({ name: "source", sync: () => {} })).toThrow(refused);
  expect(() => holder.bind({ name: "asked", letGo: () => {} })).toThrow(refused);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("an owner that releases the space orphans whom it admitted over a link", async () => {
  const { space } = guest();
  const { port1, port2 } = new (globalThis as unknown as { MessageChannel: new () => { port1: never; port2: never } }).MessageChannel();
  const { PortLink } = await import("../index.ts");
  space.admit(new PortLink(port1), { holder: "over a link" });
  let orphaned = 0;
  const holder = await VirtAddressSpace.join("guest", new PortLink(port2), { onOrphaned: () => orphaned++ });
  expect([space.holders.length, holder.readU32(gpa(0)), holder.id === space.id]).toEqual([2, 0, true]);
  holder[Symbol.dispose]();
  await tick();
  expect([space.holders, orphaned]).toEqual([["its creator"], 0]);
  space[Symbol.dispose]();
});

test("an attach whose owner never answers gives up, and can be known by its code", async () => {
  const { port1 } = new (globalThis as unknown as { MessageChannel: new () => { port1: never; port2: never } }).MessageChannel();
  const { PortLink } = await import("../index.ts");
  const attempt = VirtAddressSpace.join("nobody", new PortLink(port1), { timeoutMilliseconds: 20 });
  await expect(attempt).rejects.toMatchObject({ code: "attach-timeout" });
});

test("descriptors of another version, and what only looks like one, are refused", async () => {
  const { space } = guest();
  const descriptor = space.descriptor();
  await expect(VirtAddressSpace.attach({ ...descriptor, version: 99 })).rejects.toMatchObject({ code: "descriptor-version" });
  for (const foreign of [undefined, 5, {}, { ...descriptor, port: undefined }, { ...descriptor, slot: new ArrayBuffer(8) }]) {
    await expect(VirtAddressSpace.attach(foreign as never)).rejects.toMatchObject({ code: "foreign-descriptor" });
  }
  const holder = await VirtAddressSpace.attach(descriptor);
  for (const each of [holder, space]) each[Symbol.dispose]();
});

test("an attach ends though the owner's map never stands still", async () => {
  const { space } = guest();
  let over = false;
  let commits = 0;
  const churn = async (): Promise<void> => {
    const region = space.map({ name: "restless", base: gpa(0x10_0000), memory: sharedMemory(PAGE) });
    for (; !over; commits++) {
      space.move(region, gpa(0x10_0000 + (commits % 2) * 0x10_0000));
      await new Promise((resolve) => setTimeout(resolve, 0));
      for (let i = 0; i < 20; i++) space.move(region, gpa(0x30_0000 + i * PAGE));
    }
  };
  const churning = churn();
  const holder = await attach(space, { timeoutMilliseconds: 1000 });
  expect(names(holder)).toContain("ram");
  over = true;
  await churning;
  for (const each of [holder, space]) each[Symbol.dispose]();
});
