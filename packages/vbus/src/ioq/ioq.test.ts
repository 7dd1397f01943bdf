import { fc, test as property } from "@fast-check/vitest";
import { gpa, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { isErrno } from "../errno/errno.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import { Ioq } from "./ioq.ts";
import type { IoqIterator } from "./ioq-iterator.ts";
import { IndexOffset, IoqOffset, ioqSize } from "./ioq-layout.ts";

const RING = 0x1000;
const COUNT = 4;

let space: VirtAddressSpace;
let turns: Turns;
beforeEach(() => {
  space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(0x1_0000) });
  turns = new Turns();
});

const shmAt = (address: number, length: number): VbusShm => {
  const shm = new VbusMemctx(space).shm(address, length);
  if (isErrno(shm)) throw new Error(shm);
  return shm;
};

/** Both ends of one ring: what one injects wakes the other. */
function ends(count = COUNT): { north: Ioq; south: Ioq } {
  const shm = shmAt(RING, ioqSize(count));
  const north: Ioq = Ioq.create({ shm, count, inject: () => south.signal.wake(), host: turns });
  const signal = new ShmSignal({ shm, offset: IoqOffset.signal, locale: "south", inject: () => north.signal.wake(), host: turns });
  const south = Ioq.attach({ shm, locale: "south", signal }, 256) as Ioq;
  shm.put();
  return { north, south };
}

const at = (iterator: IoqIterator, end: "head" | "tail"): IoqIterator => {
  expect(iterator.seek(end)).toBe(0);
  return iterator;
};

test("the bytes are those of 2009", () => {
  const { north } = ends();
  const iterator = at(north.iterator("valid"), "tail");
  Object.assign(iterator, { cookie: 0x11, ptr: 0x1_0000_2000, len: 64, valid: true });
  expect(iterator.push()).toBe(0);
  const bytes = new Uint8Array(ioqSize(COUNT));
  space.copyFrom(gpa(RING), bytes);
  const data = new DataView(bytes.buffer);
  expect([bytes.length, data.getUint32(0, true), data.getUint32(4, true)]).toEqual([184, 0x47fa_2fe4, 4]);
  expect([data.getUint32(8, true), data.getUint32(12, true)]).toEqual([0x58fa_39df, 1]);
  // valid: head, tail, full; inuse; how many
  expect([24, 28, 36, 40, 48].map((offset) => data.getUint32(offset, true))).toEqual([0, 1, 0, 0, COUNT]);
  expect([32, 44].map((offset) => data.getUint8(offset))).toEqual([0, 0]);
  expect([56, 64, 72].map((offset) => Number(data.getBigUint64(offset, true)))).toEqual([0x11, 0x1_0000_2000, 64]);
  expect([data.getUint8(80), data.getUint8(81)]).toEqual([1, 1]);
  // The south's side of the signal is dirty; nobody woke it, for it did not want that.
  expect([16, 17, 18, 19, 20, 21].map((offset) => data.getUint8(offset))).toEqual([0, 0, 0, 0, 0, 1]);
});

test("what one side posts the other works on and gives back, round and round", () => {
  const { north, south } = ends();
  const post = at(north.iterator("valid", { autoUpdate: true }), "tail");
  const work = at(south.iterator("inuse", { autoUpdate: true }), "tail");
  const reap = at(north.iterator("inuse", { autoUpdate: true }), "head");
  for (let i = 0; i < 3 * COUNT; i++) {
    Object.assign(post, { ptr: 0x2000 + i, len: i, valid: true });
    expect(post.push()).toBe(0);
    expect([work.mine, work.ptr, work.len]).toEqual([true, 0x2000 + i, i]);
    work.len = 2 * i;
    expect(work.push()).toBe(0);
    expect([reap.mine, reap.len, north.used("inuse")]).toEqual([true, 2 * i, 1]);
    // Reaped: the descriptor stays the north's, and may be posted anew.
    expect(north.iterator("valid").seek("head")).toBe(0);
    const done = at(north.iterator("valid", { keepOwner: true }), "head");
    expect([at(north.iterator("inuse", { keepOwner: true }), "head").pop(), done.pop()]).toEqual([0, 0]);
    reap.seek("head");
  }
  expect([north.used("valid"), north.used("inuse"), north.remaining("valid")]).toEqual([0, 0, COUNT]);
});

test("a ring is full when it has them all, and takes no more until one is popped", () => {
  const { north, south } = ends();
  const post = at(north.iterator("valid", { autoUpdate: true }), "tail");
  for (let i = 0; i < COUNT; i++) expect(post.push()).toBe(0);
  expect([north.used("valid"), north.remaining("valid"), post.push()]).toEqual([COUNT, 0, "EINVAL"]);
  expect(at(south.iterator("valid"), "head").pop()).toBe(0);
  expect([north.used("valid"), at(north.iterator("valid"), "tail").push()]).toEqual([COUNT - 1, 0]);
});

test("a pop by another thread in the midst of the push that fills a ring leaves it with room", () => {
  const { north, south } = ends();
  const post = at(north.iterator("valid", { autoUpdate: true }), "tail");
  for (let i = 0; i < COUNT; i++) post.push();
  const work = at(south.iterator("inuse", { autoUpdate: true }), "tail");
  for (let i = 1; i < COUNT; i++) work.push();
  const [done, reap] = (["valid", "inuse"] as const).map((index) => at(north.iterator(index, { keepOwner: true }), "head")) as [
    IoqIterator,
    IoqIterator,
  ];
  const { store } = Atomics;
  const popped: unknown[] = [];
  const interleaved = (array: Int32Array, offset: number, value: number): number => {
    if (offset === IoqOffset.inuse + IndexOffset.full && popped.length === 0) popped.push(reap.pop(), done.pop());
    return store(array, offset, value);
  };
  using _spy = vi.spyOn(Atomics, "store").mockImplementation(interleaved as typeof Atomics.store);
  expect([work.push(), popped, north.used("inuse")]).toEqual([0, [0, 0], COUNT - 1]);
  expect([post.push(), work.push(), north.used("inuse")]).toEqual([0, 0, COUNT]);
});

test("both indices move together where that is asked for", () => {
  const { north } = ends();
  expect(at(north.iterator("valid", { both: true }), "tail").push()).toBe(0);
  expect([north.used("valid"), north.used("inuse")]).toEqual([1, 1]);
});

describe("what is not allowed is EINVAL, and changes nothing", () => {
  test("a push away from the tail, a pop away from the head, and of what is the other's", () => {
    const { north, south } = ends();
    const iterator = north.iterator("valid");
    expect([iterator.seek("set", 2), iterator.push(), iterator.pop()]).toEqual([0, "EINVAL", "EINVAL"]);
    expect([at(south.iterator("valid"), "tail").push(), at(south.iterator("valid"), "head").pop()]).toEqual(["EINVAL", "EINVAL"]);
    expect([north.used("valid"), iterator.seek("set", COUNT), iterator.seek("set", -1), iterator.seek("set", 0.5)]).toEqual([
      0,
      "EINVAL",
      "EINVAL",
      "EINVAL",
    ]);
  });

  test.each(["head", "tail"])("an index whose %s was forged", (end) => {
    const { south } = ends();
    space.writeU32(gpa(RING + IoqOffset.valid + (end === "head" ? 0 : 4)), 0xffff_ffff);
    const iterator = south.iterator("valid");
    expect([iterator.seek(end as "head"), south.used("valid"), south.remaining("valid")]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
  });

  test("a count that is changed later counts for nothing", () => {
    const { north, south } = ends();
    space.writeU32(gpa(RING + IoqOffset.count), 0xffff);
    expect([south.count, south.iterator("valid").seek("set", COUNT)]).toEqual([COUNT, "EINVAL"]);
    for (let i = 0; i < COUNT; i++) expect(at(north.iterator("valid"), "tail").push()).toBe(0);
    expect(at(north.iterator("valid"), "tail").position).toBe(0);
  });

  test.each([
    ["magic", 0, 0],
    ["version", 4, 3],
    ["a count of 0", 48, 0],
    ["a count that is one too many", 48, COUNT + 1],
    ["a huge count", 48, 0xffff_ffff],
  ])("a ring with another %s", (_what, offset, value) => {
    ends();
    space.writeU32(gpa(RING + offset), value);
    const shm = shmAt(RING, ioqSize(COUNT));
    const signal = new ShmSignal({ shm, offset: IoqOffset.signal, locale: "south", inject: () => {} });
    expect(Ioq.attach({ shm, locale: "south", signal }, 256)).toBe("EINVAL");
  });

  test.each([-1, 1, 4 - ioqSize(COUNT), IoqOffset.ring - ioqSize(COUNT)])("memory that is off by %i bytes", (by) => {
    ends();
    const shm = shmAt(RING, ioqSize(COUNT) + by);
    const signal = new ShmSignal({ shm, locale: "south", inject: () => {} });
    expect(Ioq.attach({ shm, locale: "south", signal }, 256)).toBe("EINVAL");
  });

  test("more descriptors than are taken, and memory that is not aligned", () => {
    const { north } = ends();
    const shm = shmAt(RING, ioqSize(COUNT));
    expect(Ioq.attach({ shm, locale: "south", signal: north.signal }, COUNT - 1)).toBe("EINVAL");
    const odd = shmAt(RING + 1, ioqSize(COUNT));
    expect(Ioq.attach({ shm: odd, locale: "south", signal: north.signal }, 256)).toBe("EINVAL");
  });
});

test("an author's ring in memory of another length is his mistake", () => {
  const shm = shmAt(RING, 100);
  expect(() => Ioq.create({ shm, count: COUNT, inject: () => {} })).toThrow(expect.objectContaining({ code: "invalid-argument" }));
});

test("a ring whose memory is taken away reads as nothing, and gives back what it held", async () => {
  const { north, south } = ends();
  const iterator = at(south.iterator("valid"), "tail");
  const [ram] = space.regions;
  const unmapped = space.unmap(ram as never);
  expect([iterator.seek("tail"), iterator.push(), iterator.mine, iterator.ptr, south.used("valid")]).toEqual([
    "EINVAL",
    "EINVAL",
    false,
    0,
    "EINVAL",
  ]);
  for (const end of [north, south]) for (let i = 0; i < 2; i++) end[Symbol.dispose]();
  await unmapped;
});

property.prop([fc.array(fc.tuple(fc.integer({ min: 0, max: ioqSize(COUNT) - 4 }), fc.nat(0xff), fc.nat(5)), { maxLength: 60 })])(
  "whatever the north writes, the south's end neither throws nor goes astray",
  (steps) => {
    const { north, south } = ends();
    south.signal.listener = () => {};
    for (const [offset, value, what] of steps) {
      space.writeU8(gpa(RING + offset), value);
      const iterator = south.iterator(what % 2 === 0 ? "valid" : "inuse", { autoUpdate: true });
      iterator.seek(what < 3 ? "head" : "tail");
      if (what < 3) iterator.pop();
      else iterator.push();
      south.signal.enable();
      south.signal.wake();
      turns.turn();
      expect(iterator.position).toBeLessThan(COUNT);
      const used = south.used("valid");
      expect(isErrno(used) || (used >= 0 && used <= COUNT)).toBe(true);
    }
    north[Symbol.dispose]();
    south[Symbol.dispose]();
  },
);
