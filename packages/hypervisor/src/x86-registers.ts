/** The registers of an x86 processor that a loader sets and a debugger shows. @see Intel SDM, volume 3, chapter 2 @module */

/** A segment register with what the processor keeps beside it. */
export interface Segment {
  /** Its place in the descriptor table. */
  readonly selector: number;
  /** The linear address of its first byte. */
  readonly base: number;
  /** The last offset within it, bytes. */
  readonly limit: number;
  /** Type, 0 to 15: 11 is code that may be read, 3 data that may be written. */
  readonly type: number;
  /** 32-bit code or stack. */
  readonly db: boolean;
  /** 64-bit code. */
  readonly long: boolean;
  /** Privilege, 0 to 3. */
  readonly dpl: number;
}

/** A descriptor table. */
export interface DescriptorTable {
  /** Its linear address. */
  readonly base: number;
  /** Its bytes, less one. */
  readonly limit: number;
}

/** Registers. General ones have 64 bits; in 32-bit engines the upper half is 0. */
export interface X86Registers {
  /** The accumulator. */
  readonly rax: bigint;
  /** General. */
  readonly rbx: bigint;
  /** General: counts. */
  readonly rcx: bigint;
  /** General: ports. */
  readonly rdx: bigint;
  /** General: sources of strings. */
  readonly rsi: bigint;
  /** General: targets of strings. */
  readonly rdi: bigint;
  /** The stack pointer. */
  readonly rsp: bigint;
  /** General: frames. */
  readonly rbp: bigint;
  /** The next instruction, as an offset in the code segment. */
  readonly rip: bigint;
  /** Flags: 0x200 lets interrupts in. */
  readonly rflags: bigint;
  /** Code. */
  readonly cs: Segment;
  /** Data. */
  readonly ds: Segment;
  /** Data: targets of strings. */
  readonly es: Segment;
  /** Data. */
  readonly fs: Segment;
  /** Data. */
  readonly gs: Segment;
  /** The stack. */
  readonly ss: Segment;
  /** Segments. */
  readonly gdt: DescriptorTable;
  /** Handlers of interrupts and exceptions. */
  readonly idt: DescriptorTable;
  /** Modes: 1 is protected mode, 0x80000000 paging. */
  readonly cr0: number;
  /** The address of the last page fault. */
  readonly cr2: number;
  /** Where the page tables begin. */
  readonly cr3: number;
  /** Further modes: 0x20 is what long mode needs. */
  readonly cr4: number;
  /** Extended features: 0x100 asks for long mode, 0x400 says that it is active. */
  readonly efer: number;
}

/** A flat code segment: all of memory at privilege 0. */
export function flatCode(selector: number, mode: 32 | 64 = 32): Segment {
  return { selector, base: 0, limit: 0xffff_ffff, type: 11, db: mode === 32, long: mode === 64, dpl: 0 };
}

/** A flat data segment: all of memory at privilege 0. */
export function flatData(selector: number): Segment {
  return { selector, base: 0, limit: 0xffff_ffff, type: 3, db: true, long: false, dpl: 0 };
}

/** Registers for a program that begins in flat 32-bit protected mode, without paging and with interrupts off. */
export function flat32(entry: number): Partial<X86Registers> {
  const data = flatData(0x10);
  return {
    ...{ rip: BigInt(entry), rflags: 2n, rsp: 0n, rbp: 0n },
    ...{ cs: flatCode(0x08), ds: data, es: data, fs: data, gs: data, ss: data },
    ...{ gdt: { base: 0, limit: 0 }, idt: { base: 0, limit: 0 }, cr0: 1, cr3: 0, cr4: 0, efer: 0 },
  };
}
