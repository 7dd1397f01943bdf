/** The processor's registers, in the engine's layout. @module */
import { HypervisorError, type Segment, type X86Registers } from "@virtspace/hypervisor";
import { Cpu, SegmentIndex } from "../engine/cpu-layout.ts";
import type { Engine } from "../engine/engine.ts";

const GENERAL = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"] as const;
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"] as const;
const PRESENT = 0x80;
/** Code or data, not a gate. */
const ORDINARY = 0x10;

/** Reads all registers. */
export function readRegisters(engine: Engine): X86Registers {
  const { data, calls } = engine;
  const u32 = (offset: number): number => data.getUint32(offset, true);
  const general = Object.fromEntries(GENERAL.map((name, index) => [name, BigInt(u32(Cpu.registers + 4 * index))]));
  const segments = Object.fromEntries(SEGMENTS.map((name) => [name, readSegment(data, name)])) as Record<
    (typeof SEGMENTS)[number],
    Segment
  >;
  return {
    ...(general as Pick<X86Registers, (typeof GENERAL)[number]>),
    ...segments,
    rip: BigInt((u32(Cpu.instructionPointer) - segments.cs.base) >>> 0),
    rflags: BigInt(calls.get_eflags() >>> 0),
    gdt: { base: u32(Cpu.gdtBase), limit: u32(Cpu.gdtLimit) },
    idt: { base: u32(Cpu.idtBase), limit: u32(Cpu.idtLimit) },
    cr0: u32(Cpu.control),
    cr2: u32(Cpu.control + 8),
    cr3: u32(Cpu.control + 12),
    cr4: u32(Cpu.control + 16),
    efer: 0,
  };
}

function readSegment(data: DataView, name: (typeof SEGMENTS)[number]): Segment {
  const index = SegmentIndex[name];
  const access = data.getUint8(Cpu.segmentAccess + index);
  const wide = name === "cs" ? Cpu.code32 : Cpu.stack32;
  return {
    selector: data.getUint16(Cpu.selectors + 2 * index, true),
    base: data.getUint32(Cpu.segmentBases + 4 * index, true),
    limit: data.getUint32(Cpu.segmentLimits + 4 * index, true),
    type: access & 0xf,
    db: data.getUint32(wide, true) !== 0,
    long: false,
    dpl: (access >> 5) & 3,
  };
}

/**
 * Sets registers.
 *
 * @throws {@link HypervisorError} `unsupported` for long mode
 */
export function writeRegisters(engine: Engine, changes: Partial<X86Registers>): void {
  if ((changes.efer ?? 0) !== 0 || changes.cs?.long === true) {
    throw new HypervisorError("unsupported", "this engine has no long mode: use a 32-bit entry, or another hypervisor");
  }
  const registers: X86Registers = { ...readRegisters(engine), ...changes };
  const { data } = engine;
  const u32 = (offset: number, value: number | bigint): void => data.setUint32(offset, Number(BigInt.asUintN(32, BigInt(value))), true);
  GENERAL.forEach((name, index) => u32(Cpu.registers + 4 * index, registers[name]));
  for (const name of SEGMENTS) writeSegment(data, name, registers[name], (registers.cr0 & 1) !== 0);
  u32(Cpu.instructionPointer, registers.rip + BigInt(registers.cs.base));
  u32(Cpu.previousInstructionPointer, registers.rip + BigInt(registers.cs.base));
  u32(Cpu.flags, registers.rflags | 2n);
  u32(Cpu.flagsChanged, 0);
  u32(Cpu.gdtBase, registers.gdt.base);
  u32(Cpu.gdtLimit, registers.gdt.limit);
  u32(Cpu.idtBase, registers.idt.base);
  u32(Cpu.idtLimit, registers.idt.limit);
  [registers.cr0, 0, registers.cr2, registers.cr3, registers.cr4].forEach((value, index) => u32(Cpu.control + 4 * index, value));
  u32(Cpu.protectedMode, registers.cr0 & 1);
  u32(Cpu.code32, registers.cs.db ? 1 : 0);
  u32(Cpu.stack32, registers.ss.db ? 1 : 0);
  data.setUint8(Cpu.privilege, (registers.cr0 & 1) === 0 ? 0 : registers.cs.dpl);
  data.setUint8(Cpu.halted, 0);
  engine.forget();
}

function writeSegment(data: DataView, name: (typeof SEGMENTS)[number], segment: Segment, isProtected: boolean): void {
  const index = SegmentIndex[name];
  data.setUint16(Cpu.selectors + 2 * index, segment.selector, true);
  data.setUint32(Cpu.segmentBases + 4 * index, segment.base, true);
  data.setUint32(Cpu.segmentLimits + 4 * index, segment.limit, true);
  data.setUint8(Cpu.segmentAccess + index, PRESENT | ORDINARY | (segment.dpl << 5) | segment.type);
  data.setUint8(Cpu.segmentIsNull + index, isProtected && segment.selector < 4 ? 1 : 0);
}
