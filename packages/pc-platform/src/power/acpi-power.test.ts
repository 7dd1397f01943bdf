import { fc, test as property } from "@fast-check/vitest";
import { gpa, type SpaceFault, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, expect, test } from "vitest";
import { ManualClock } from "../host/manual-clock-scenarios.ts";
import { AcpiPower, type AcpiPowerState, POWER, PowerRegister } from "./acpi-power.ts";

const BUTTON = 0x100;
/** Milliseconds until the timer's highest bit changes. */
const HALF = 2 ** 31 / 3579.545;

let clock: ManualClock;
let ports: VirtAddressSpace;
let faults: SpaceFault[];
let level: boolean;
let offs: number;
let power: AcpiPower;
const make = (): AcpiPower =>
  new AcpiPower({
    ports,
    host: clock,
    onPowerOff: () => void offs++,
    interrupt: (up) => {
      level = up;
    },
  });
beforeEach(() => {
  clock = new ManualClock();
  [faults, level, offs] = [[], false, 0];
  ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000, onFault: (fault) => void faults.push(fault) });
  power = make();
});

const out = (register: number, value: number): boolean => ports.writeU16(gpa(POWER.base + register), value);
const word = (register: number): number | undefined => ports.readU16(gpa(POWER.base + register));
const timer = (): number => ports.readU32(gpa(POWER.base + PowerRegister.timer)) as number;

test("the machine is in ACPI's mode, and goes off when it is told to sleep for good", () => {
  expect(word(PowerRegister.control)).toBe(1);
  out(PowerRegister.control, (4 << 10) | 0x2000);
  out(PowerRegister.control, 5 << 10);
  expect(offs).toBe(0);
  out(PowerRegister.control, (5 << 10) | 0x2000);
  expect(offs).toBe(1);
});

test("the button calls a guest that listens, until it is heard", () => {
  power.press();
  expect([level, word(PowerRegister.status)]).toEqual([false, BUTTON]);
  out(PowerRegister.enable, BUTTON);
  expect(level).toBe(true);
  out(PowerRegister.status, 1);
  expect(level).toBe(true);
  out(PowerRegister.status, BUTTON);
  expect([level, word(PowerRegister.status)]).toEqual([false, 0]);
});

test("a guest may wait for the lock and the clock, which never call", () => {
  out(PowerRegister.enable, 0xffff);
  expect(word(PowerRegister.enable)).toBe(0x521);
  ports.writeU8(gpa(POWER.base + PowerRegister.enable + 1), 0);
  expect(word(PowerRegister.enable)).toBe(0x21);
});

test("the timer counts, and tells when its highest bit changes", () => {
  clock.move(1000);
  expect(timer()).toBe(3_579_545);
  expect(clock.waiting).toBe(0);
  out(PowerRegister.enable, 1);
  clock.move(HALF - 1000 - 2);
  expect(level).toBe(false);
  clock.move(4);
  expect([level, word(PowerRegister.status), clock.waiting]).toEqual([true, 1, 0]);
  out(PowerRegister.status, 1);
  expect([level, clock.waiting]).toEqual([false, 1]);
  clock.move(HALF + 2);
  expect([level, timer() < 2 ** 20]).toEqual([true, true]);
});

test("a saved one goes on", () => {
  out(PowerRegister.enable, BUTTON | 1);
  clock.move(HALF + 2);
  power.press();
  const [state, count] = [structuredClone(power.save()), timer()];
  power[Symbol.dispose]();
  power[Symbol.dispose]();
  expect([ports.regions.length, clock.waiting]).toEqual([0, 0]);
  level = false;
  power = make();
  power.restore(state);
  expect([level, word(PowerRegister.status), timer()]).toEqual([true, BUTTON | 1, count]);
});

test.each([undefined, {}, { status: 2, enabled: 0, ticks: 0 }, { status: 0, enabled: 2, ticks: 0 }, { status: 0, enabled: 0, ticks: -1 }])(
  "the state %j is refused, and changes nothing",
  (state) => {
    const before = power.save();
    expect(() => power.restore(state as unknown as AcpiPowerState)).toThrow(expect.objectContaining({ code: "foreign-state" }));
    expect(power.save()).toEqual(before);
  },
);

property.prop([fc.array(fc.tuple(fc.nat(11), fc.constantFrom(1, 2, 4), fc.option(fc.nat(0xffff)), fc.nat(1_000_000)), { maxLength: 60 })])(
  "whatever a guest does, nothing throws, and one timer waits at the most",
  (accesses) => {
    for (const [offset, size, value, milliseconds] of accesses) {
      const bytes = new Uint8Array(size).fill(value ?? 0);
      if (value === null) ports.copyFrom(gpa(POWER.base + offset), bytes);
      else ports.copyTo(gpa(POWER.base + offset), bytes);
      clock.move(milliseconds);
      expect(clock.waiting).toBeLessThanOrEqual(1);
    }
    expect(faults).toEqual([]);
  },
);
