import { fc, test as property } from "@fast-check/vitest";
import { gpa, type SpaceFault, VirtAddressSpace } from "@virtspace/virt-address-space";
import { beforeEach, describe, expect, test } from "vitest";
import { COM1, Uart, type UartState } from "./uart.ts";

const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const OUT2 = 8;

let ports: VirtAddressSpace;
let faults: SpaceFault[];
let sent: number[];
let level: boolean;
let rooms: number;
let uart: Uart;
beforeEach(() => {
  [faults, sent, level, rooms] = [[], [], false, 0];
  ports = VirtAddressSpace.create({ name: "ports", size: 0x1_0000, onFault: (fault) => void faults.push(fault) });
  uart = new Uart({
    ports,
    onByte: (byte) => void sent.push(byte),
    interrupt: (up) => {
      level = up;
    },
    onRoom: () => void rooms++,
  });
});

const out = (register: number, value: number): boolean => ports.writeU8(gpa(COM1.base + register), value);
const inb = (register: number): number | undefined => ports.readU8(gpa(COM1.base + register));

test("what is sent arrives, and the transmitter is empty again", () => {
  for (const byte of [1, 2, 255]) out(DATA, byte);
  expect([sent, inb(LSR)]).toEqual([[1, 2, 255], 0x60]);
});

test("the divisor stands where data and interrupts do while DLAB is set", () => {
  out(LCR, 0x83);
  out(DATA, 0x0c);
  out(IER, 0x01);
  expect([inb(DATA), inb(IER), sent]).toEqual([0x0c, 0x01, []]);
  out(LCR, 0x03);
  expect([inb(IER), inb(LCR)]).toEqual([0, 3]);
});

test("a driver that probes finds a 16550A", () => {
  out(SCR, 0x5a);
  out(IIR, 1);
  expect([inb(SCR), (inb(IIR) as number) >> 6]).toEqual([0x5a, 3]);
  out(MCR, 0x1a);
  // In a loop, RTS is CTS and OUT2 carrier detect.
  expect((inb(MSR) as number) & 0xf0).toBe(0x90);
  out(MCR, 0);
  expect((inb(MSR) as number) & 0xf0).toBe(0xb0);
});

describe("receiving", () => {
  test("one byte without the FIFO, 16 with it, and the rest later", () => {
    expect([uart.receive(Uint8Array.of(1, 2)), inb(DATA), rooms]).toEqual([1, 1, 1]);
    out(IIR, 1);
    expect(uart.receive(new Uint8Array(20).fill(7))).toBe(16);
    for (let i = 0; i < 16; i++) expect([(inb(LSR) as number) & 1, inb(DATA)]).toEqual([1, 7]);
    expect([(inb(LSR) as number) & 1, inb(DATA), rooms]).toEqual([0, 0, 2]);
  });

  test("interrupts as long as there is something, through the gate that OUT2 opens", () => {
    out(IIR, 0xc1);
    out(IER, 1);
    uart.receive(Uint8Array.of(1));
    expect([level, (inb(IIR) as number) & 0xf]).toEqual([false, 0xc]);
    out(MCR, OUT2);
    expect(level).toBe(true);
    inb(DATA);
    expect([level, (inb(IIR) as number) & 0xf]).toEqual([false, 1]);
    uart.receive(new Uint8Array(14));
    expect((inb(IIR) as number) & 0xf).toBe(4);
    out(IIR, 0xc3);
    expect(level).toBe(false);
  });
});

describe("the transmitter's interrupt", () => {
  beforeEach(() => out(MCR, OUT2));

  test("comes when it is let through, and is answered by asking why", () => {
    out(IER, 2);
    expect([level, inb(IIR), level, inb(IIR)]).toEqual([true, 2, false, 1]);
  });

  test("comes again after each byte", () => {
    out(IER, 2);
    inb(IIR);
    out(DATA, 1);
    expect(level).toBe(true);
    out(IER, 0);
    expect(level).toBe(false);
  });
});

test("in a loop what is sent comes back, and too much is an overrun", () => {
  out(MCR, 0x10);
  out(DATA, 5);
  out(DATA, 6);
  expect([sent, inb(LSR), inb(LSR), inb(DATA)]).toEqual([[], 0x63, 0x61, 5]);
});

test("a saved one goes on", () => {
  out(LCR, 0x80);
  out(IER, 2);
  out(LCR, 3);
  out(IIR, 1);
  out(IER, 1);
  out(MCR, OUT2);
  uart.receive(Uint8Array.of(9, 8));
  const state = structuredClone(uart.save());
  uart[Symbol.dispose]();
  uart[Symbol.dispose]();
  expect([level, ports.regions.length]).toEqual([false, 0]);
  uart = new Uart({
    ports,
    onByte: () => {},
    interrupt: (up) => {
      level = up;
    },
  });
  uart.restore(state);
  expect([level, inb(DATA), inb(DATA), level]).toEqual([true, 9, 8, false]);
  expect(uart.save().registers[0]).toBe(0x201);
});

test.each([
  undefined,
  {},
  { registers: [1, 2], received: [] },
  { registers: [1, 2, 3, 4, 5, 600], received: [] },
  { registers: [-1, 2, 3, 4, 5, 6], received: [] },
  { registers: [1, 2, 3, 4, 5, 6], received: new Array(17).fill(0) },
  { registers: [1, 2, 3, 4, 5, 6], received: ["a"] },
])("the state %j is refused, and changes nothing", (state) => {
  const before = uart.save();
  expect(() => uart.restore(state as unknown as UartState)).toThrow(expect.objectContaining({ code: "foreign-state" }));
  expect(uart.save()).toEqual(before);
});

property.prop([fc.array(fc.tuple(fc.nat(7), fc.constantFrom(1, 2, 4), fc.nat(255), fc.boolean()), { maxLength: 200 })])(
  "whatever a guest does, nothing throws, and what is kept is bounded",
  (accesses) => {
    for (const [register, size, value, write] of accesses) {
      const address = gpa(COM1.base + register);
      if (write) size === 1 ? ports.writeU8(address, value) : size === 2 ? ports.writeU16(address, value) : ports.writeU32(address, value);
      else if (size === 1) ports.readU8(address);
      else ports.readU32(address);
      uart.receive(new Uint8Array(3));
    }
    expect([faults, uart.save().received.length <= 16]).toEqual([[], true]);
  },
);
