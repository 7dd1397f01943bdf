import { gpa, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { isErrno } from "../errno/errno.ts";
import { Turns } from "../host/turns-scenarios.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "./shm-signal.ts";

const AT = 0x1000;
const [ENABLED, PENDING, DIRTY] = [0, 1, 2] as const;

let space: VirtAddressSpace;
let turns: Turns;
let shm: VbusShm;
let north: ShmSignal;
let south: ShmSignal;
let heard: number;
beforeEach(() => {
  space = VirtAddressSpace.create({ name: "guest" });
  space.map({ name: "ram", base: gpa(0), memory: sharedMemory(0x1_0000) });
  turns = new Turns();
  const made = new VbusMemctx(space).shm(AT, 64);
  if (isErrno(made)) throw new Error(made);
  shm = made;
  ShmSignal.format(shm, 16);
  north = new ShmSignal({ shm, offset: 16, locale: "north", inject: () => south.wake(), host: turns });
  south = new ShmSignal({ shm, offset: 16, locale: "south", inject: () => north.wake(), host: turns });
  heard = 0;
  south.listener = () => void heard++;
});

const side = (locale: "north" | "south", what: number): number =>
  space.readU8(gpa(AT + 16 + (locale === "north" ? 8 : 11) + what)) as number;

test("its sixteen bytes are those of 2009", () => {
  north.enable();
  const bytes = new Uint8Array(16);
  space.copyFrom(gpa(AT + 16), bytes);
  expect([...bytes]).toEqual([0xdf, 0x39, 0xfa, 0x58, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
});

describe("news", () => {
  test("wakes whoever wants that, once for all of it", () => {
    south.enable();
    for (let i = 0; i < 5; i++) north.inject();
    expect([north.injected, side("south", PENDING), heard]).toEqual([1, 1, 0]);
    turns.settle();
    expect([heard, side("south", PENDING), side("south", DIRTY)]).toEqual([1, 0, 0]);
    north.inject();
    turns.settle();
    expect([heard, north.injected]).toEqual([2, 2]);
  });

  test("that comes while nobody wants it is there when somebody does", () => {
    north.inject();
    turns.settle();
    expect([heard, north.injected, side("south", DIRTY)]).toEqual([0, 0, 1]);
    south.enable();
    turns.settle();
    expect([heard, side("south", ENABLED), side("south", DIRTY)]).toEqual([1, 1, 0]);
  });

  test("that comes while a listener works is heard by it again", () => {
    let more = 3;
    south.listener = () => {
      heard++;
      if (more-- > 0) north.inject();
    };
    south.enable();
    north.inject();
    turns.settle();
    expect([heard, north.injected, side("south", PENDING)]).toEqual([4, 1, 0]);
  });

  test("that comes between disable and enable is never lost", () => {
    south.enable();
    south.listener = () => {
      heard++;
      south.disable();
    };
    north.inject();
    turns.settle();
    expect([heard, side("south", PENDING)]).toEqual([1, 1]);
    north.inject();
    expect(north.injected).toBe(1);
    south.listener = () => void heard++;
    south.enable();
    turns.settle();
    expect([heard, side("south", PENDING), side("south", DIRTY)]).toEqual([2, 0, 0]);
  });

  test("without end leaves others their turns", () => {
    south.listener = () => {
      heard++;
      if (heard < 1000) north.inject();
    };
    south.enable();
    north.inject();
    turns.turn();
    expect([heard, turns.waiting]).toEqual([64, 1]);
    turns.settle();
    expect(heard).toBe(1000);
  });

  test("goes both ways", () => {
    let answered = 0;
    north.listener = () => void answered++;
    north.enable();
    south.listener = () => south.inject();
    south.enable();
    north.inject();
    turns.settle();
    expect([answered, south.injected]).toEqual([1, 1]);
  });
});

describe("a signal is found only where it is, wholly within its memory", () => {
  test.each([
    [16, true],
    [15, false],
    [48, false],
    [49, false],
    [-1, false],
    [0xffff_ffff, false],
    [Number.NaN, false],
    [16.5, false],
  ])("at %d: %s", (offset, found) => {
    expect(ShmSignal.isAt(shm, offset)).toBe(found);
  });

  test("not with another version", () => {
    space.writeU32(gpa(AT + 16 + 4), 2);
    expect(ShmSignal.isAt(shm, 16)).toBe(false);
  });
});

test("what it writes is in a dirty log", () => {
  using log = space.dirtyLog("migration");
  log.harvest();
  north.inject();
  expect(log.harvest()).toEqual([{ address: AT, length: 0x1000 }]);
});

test("a closed one does nothing; the memory goes with the last of its users", () => {
  for (let i = 0; i < 2; i++) south[Symbol.dispose]();
  south.enable();
  south.inject();
  south.wake();
  turns.settle();
  expect([side("south", ENABLED), side("north", DIRTY)]).toEqual([0, 0]);
  north[Symbol.dispose]();
  expect(shm.window.valid).toBe(true);
  shm.put();
  expect(shm.window.valid).toBe(false);
  expect(() => shm.put()).toThrow(expect.objectContaining({ code: "released" }));
  expect(() => shm.get()).toThrow(expect.objectContaining({ code: "released" }));
});
