import { fc, test as property } from "@fast-check/vitest";
import { gpa, type SpaceFault, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../host/manual-clock-scenarios.ts";
import { Pit, type PitState } from "./pit.ts";

let clock: ManualClock;
let ports: VirtAddressSpace;
let faults: SpaceFault[];
let interrupts: number;
let pit: Pit;
beforeEach(() => {
  clock = new ManualClock();
  [faults, interrupts] = [[], 0];
  ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000, onFault: (fault) => void faults.push(fault) });
  pit = new Pit({ ports, interrupt: () => void interrupts++, host: clock });
});

const out = (port: number, ...values: number[]): void => {
  for (const value of values) ports.writeU8(gpa(port), value);
};
const inb = (port: number): number => ports.readU8(gpa(port)) as number;
const word = (port: number): number => inb(port) | (inb(port) << 8);

/** Ticks for a rate, low and high byte. */
const rate = (hertz: number): [number, number] => {
  const count = Math.round(1_193_182 / hertz);
  return [count & 0xff, count >> 8];
};

describe("the first counter", () => {
  test.each([2, 3])("interrupts again and again in mode %i", (mode) => {
    out(0x43, 0x30 | (mode << 1));
    out(0x40, ...rate(100));
    clock.move(1005);
    expect(interrupts).toBe(100);
  });

  test("interrupts once in mode 0, and again when it is loaded again", () => {
    out(0x43, 0x30);
    out(0x40, ...rate(1000));
    clock.move(0.5);
    expect(interrupts).toBe(0);
    clock.move(50);
    expect([interrupts, clock.waiting]).toEqual([1, 0]);
    out(0x40, ...rate(1000));
    clock.move(50);
    expect(interrupts).toBe(2);
  });

  test("what a late host missed is one interrupt", () => {
    out(0x43, 0x34);
    out(0x40, ...rate(1000));
    clock.move(100, true);
    expect(interrupts).toBe(1);
    clock.move(10.2);
    expect(interrupts).toBeGreaterThanOrEqual(10);
  });

  test("a control word stops it until it is loaded", () => {
    out(0x43, 0x34);
    out(0x40, ...rate(1000));
    out(0x43, 0x34);
    out(0x40, 1);
    clock.move(100);
    expect(interrupts).toBe(0);
  });
});

describe("counts", () => {
  test("go down with time, and stand still when they are latched", () => {
    out(0x43, 0x30);
    out(0x40, 0x00, 0x80);
    clock.move(1);
    out(0x43, 0x00);
    clock.move(5);
    expect(word(0x40)).toBe(0x8000 - 1193);
    expect(word(0x40)).toBe(0x8000 - 7159);
  });

  test("are of one byte where that is asked for, and decimal too", () => {
    out(0x43, 0x50);
    out(0x41, 0x20);
    expect(inb(0x41)).toBe(0x20);
    out(0x43, 0x60);
    out(0x41, 0x20);
    expect(inb(0x41)).toBe(0x20);
    out(0x43, 0x31);
    out(0x40, 0x00, 0x20);
    clock.move(1);
    expect(word(0x40)).toBe(0x0807);
  });

  test("and status are read back", () => {
    out(0x43, 0x34);
    out(0x43, 0xe2);
    expect(inb(0x40)).toBe(0xf4);
    out(0x40, 0, 0);
    clock.move(1);
    out(0x43, 0xc2);
    expect([inb(0x40), word(0x40)]).toEqual([0xb4, 0x1_0000 - 1193]);
  });
});

test("the third counter's output and gate are at port 0x61, as guests measure their clocks", () => {
  out(0x61, 1);
  out(0x43, 0xb0);
  out(0x42, ...rate(20));
  expect(inb(0x61) & 0x21).toBe(1);
  clock.move(49);
  expect(inb(0x61) & 0x20).toBe(0);
  clock.move(2);
  expect(inb(0x61) & 0x20).toBe(0x20);
  out(0x61, 0);
  out(0x61, 3);
  expect(inb(0x61) & 0x23).toBe(3);
  expect(interrupts).toBe(0);
});

test("a saved one goes on", () => {
  out(0x43, 0x34);
  out(0x40, ...rate(100));
  clock.move(25);
  const state = structuredClone(pit.save());
  pit[Symbol.dispose]();
  pit[Symbol.dispose]();
  expect([ports.regions.length, clock.waiting, interrupts]).toEqual([0, 0, 2]);
  pit = new Pit({ ports, interrupt: () => void interrupts++, host: clock });
  pit.restore(state);
  clock.move(4);
  expect(interrupts).toBe(2);
  clock.move(2);
  expect(interrupts).toBe(3);
});

test.each([
  undefined,
  {},
  { channels: [], speaker: 0 },
  { channels: [{}, {}, {}], speaker: 0 },
  { channels: new Array(3).fill({ mode: 9, access: 3, bcd: false, reload: 1, elapsed: 0, gate: true }), speaker: 0 },
  { channels: new Array(3).fill({ mode: 2, access: 3, bcd: false, reload: 0, elapsed: 0, gate: true }), speaker: 0 },
])("the state %j is refused, and changes nothing", (state) => {
  const before = pit.save();
  expect(() => pit.restore(state as unknown as PitState)).toThrow(expect.objectContaining({ code: "foreign-state" }));
  expect(pit.save()).toEqual(before);
});

property.prop([
  fc.array(fc.tuple(fc.constantFrom(0x40, 0x41, 0x42, 0x43, 0x61), fc.nat(255), fc.boolean(), fc.nat(20)), { maxLength: 100 }),
])("whatever a guest does, nothing throws, and one timer waits at the most", (accesses) => {
  for (const [port, value, write, milliseconds] of accesses) {
    if (write) out(port, value);
    else inb(port);
    clock.move(milliseconds / 10);
    expect(clock.waiting).toBeLessThanOrEqual(1);
  }
  expect(faults).toEqual([]);
});
