import { fc, test as property } from "@fast-check/vitest";
import { gpa, type SpaceFault, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { FIRST_DAY, ManualClock } from "../host/manual-clock-scenarios.ts";
import { CMOS, Cmos, type CmosState } from "./cmos.ts";

const [A, B, C, D] = [0x0a, 0x0b, 0x0c, 0x0d] as const;
const [SET, PERIODIC, ALARM, UPDATE, BINARY, TWENTY_FOUR] = [0x80, 0x40, 0x20, 0x10, 4, 2] as const;

let clock: ManualClock;
let ports: VirtAddressSpace;
let faults: SpaceFault[];
let level: boolean;
let cmos: Cmos;
const interrupt = (up: boolean): void => {
  level = up;
};
beforeEach(() => {
  clock = new ManualClock();
  [faults, level] = [[], false];
  ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000, onFault: (fault) => void faults.push(fault) });
  cmos = new Cmos({ ports, interrupt, host: clock });
});

const read = (index: number): number => {
  ports.writeU8(gpa(CMOS.base), index);
  return ports.readU8(gpa(CMOS.base + 1)) as number;
};
const write = (index: number, value: number): void => {
  ports.writeU8(gpa(CMOS.base), index);
  ports.writeU8(gpa(CMOS.base + 1), value);
};
/** Century, year, month, day, weekday, hour, minute, second. */
const calendar = (): number[] => [0x32, 9, 8, 7, 6, 4, 2, 0].map(read);

describe("time", () => {
  test("is the host's, in decimal digits", () => {
    expect(calendar()).toEqual([0x20, 0x26, 1, 1, 5, 0, 0, 0]);
    clock.move(((23 * 60 + 59) * 60 + 58) * 1000);
    expect(calendar()).toEqual([0x20, 0x26, 1, 1, 5, 0x23, 0x59, 0x58]);
    clock.move(2000);
    expect(calendar()).toEqual([0x20, 0x26, 1, 2, 6, 0, 0, 0]);
  });

  test.each([
    [BINARY | TWENTY_FOUR, [20, 26, 1, 1, 5, 13, 45, 30]],
    [BINARY, [20, 26, 1, 1, 5, 0x81, 45, 30]],
    [TWENTY_FOUR, [0x20, 0x26, 1, 1, 5, 0x13, 0x45, 0x30]],
    [0, [0x20, 0x26, 1, 1, 5, 0x81, 0x45, 0x30]],
  ])("is shown, and set, as register B says (%i)", (form, shown) => {
    clock.move(((13 * 60 + 45) * 60 + 30) * 1000);
    write(B, form);
    expect(calendar()).toEqual(shown);
    write(B, form | SET);
    write(9, form & BINARY ? 30 : 0x30);
    clock.move(10_000);
    expect(calendar()).toEqual(shown.with(1, form & BINARY ? 30 : 0x30));
    write(B, form);
    clock.move(1000);
    expect([calendar()[1], calendar()[7]]).toEqual(form & BINARY ? [30, 31] : [0x30, 0x31]);
  });

  test("may be set while it goes, and a date that there is not sets nothing", () => {
    write(8, 0x07);
    expect(calendar()).toEqual([0x20, 0x26, 7, 1, 4, 0, 0, 0]);
    write(8, 0x33);
    expect(read(8)).toBe(7);
  });

  test("is not to be read when a second ends, and guests see that", () => {
    clock.move(999.8);
    expect(read(A) & 0x80).toBe(0x80);
    clock.move(0.3);
    expect(read(A) & 0x80).toBe(0);
    write(A, 0x70);
    clock.move(999.6);
    expect(read(A)).toBe(0x70);
  });
});

test("its other bytes are memory; what it says of itself can't be written, nor its index be read", () => {
  write(0x40, 0xab);
  write(D, 0);
  write(C, 0xff);
  expect([read(0x40), read(D), read(C), ports.readU8(gpa(CMOS.base))]).toEqual([0xab, 0x80, 0, 0xff]);
  expect(read(0xc0)).toBe(0xab);
});

describe("interrupts", () => {
  test("come each second, until they are heard", () => {
    write(B, TWENTY_FOUR | UPDATE);
    clock.move(999);
    expect(level).toBe(false);
    clock.move(2);
    expect([level, read(C) & 0x90, level, read(C)]).toEqual([true, 0x90, false, 0]);
    clock.move(5000);
    expect([level, read(C) & 0x90]).toEqual([true, 0x90]);
  });

  test("come at a rate", () => {
    write(A, 0x2a);
    write(B, TWENTY_FOUR | PERIODIC);
    let heard = 0;
    for (let i = 0; i < 1000; i++) {
      clock.move(1);
      if (level) heard += read(C) === 0xc0 ? 1 : 0;
    }
    expect(heard).toBeGreaterThanOrEqual(60);
    expect(heard).toBeLessThanOrEqual(64);
    write(B, TWENTY_FOUR);
    expect(clock.waiting).toBe(0);
  });

  test.each([
    [[0x05, 0x01, 0x00], 65],
    [[0x05, 0xff, 0xff], 5],
    [[0x00, 0x00, 0xc0], 3600],
  ])("come at the time of an alarm: %j", (alarm, seconds) => {
    clock.move(500);
    alarm.forEach((value, i) => {
      write(1 + 2 * i, value);
    });
    write(B, TWENTY_FOUR | ALARM);
    clock.move(seconds * 1000 - 501);
    expect(level).toBe(false);
    clock.move(2);
    expect([level, read(C) & 0xa0]).toEqual([true, 0xa0]);
  });

  test("that nobody asked for are told where somebody looks", () => {
    clock.move(1500);
    expect([level, read(C), clock.waiting]).toEqual([false, UPDATE | PERIODIC, 0]);
  });
});

test("a saved one goes on, with the time that the guest set", () => {
  write(9, 0x30);
  write(B, TWENTY_FOUR | UPDATE);
  write(0x40, 7);
  clock.move(1001);
  const state = structuredClone(cmos.save());
  cmos[Symbol.dispose]();
  cmos[Symbol.dispose]();
  expect([ports.regions.length, clock.waiting]).toEqual([0, 0]);
  level = false;
  cmos = new Cmos({ ports, interrupt, host: clock });
  cmos.restore(state);
  expect([level, calendar().slice(0, 2), read(0x40), read(C)]).toEqual([true, [0x20, 0x30], 7, 0xd0]);
  clock.move(1000);
  expect(level).toBe(true);
});

test.each([
  undefined,
  {},
  { index: 128, bytes: new Uint8Array(128), ahead: 0, events: 0 },
  { index: 0, bytes: new Uint8Array(127), ahead: 0, events: 0 },
  { index: 0, bytes: new Uint8Array(128), ahead: Number.NaN, events: 0 },
  { index: 0, bytes: new Uint8Array(128), ahead: 0, events: 1 },
])("the state %j is refused, and changes nothing", (state) => {
  const before = cmos.save();
  expect(() => cmos.restore(state as unknown as CmosState)).toThrow(expect.objectContaining({ code: "foreign-state" }));
  expect(cmos.save()).toEqual(before);
});

property.prop([fc.array(fc.tuple(fc.nat(0x33), fc.nat(255), fc.boolean(), fc.nat(3000)), { maxLength: 60 })])(
  "whatever a guest does, nothing throws, and one timer waits at the most",
  (accesses) => {
    for (const [index, value, writes, milliseconds] of accesses) {
      if (writes) write(index, value);
      else read(index);
      clock.move(milliseconds);
      expect(clock.waiting).toBeLessThanOrEqual(1);
    }
    expect([faults, clock.time() >= FIRST_DAY]).toEqual([[], true]);
  },
);
