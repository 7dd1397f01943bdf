/**
 * Where the engine keeps its processor, as offsets in its memory. They hold for the version that {@link KNOWN_VERSION} names.
 *
 * @module
 */

/** The version of the npm package `v86` that this package knows. */
export const KNOWN_VERSION = "0.5.462";

/** Offsets, bytes. */
export const Cpu = {
  /** From here to {@link Cpu.end} lies all that a saved processor is made of. */
  start: 64,
  /** General registers in the order of their encoding, u32. */
  registers: 64,
  flags: 120,
  /** Which flags are to be computed from the last result; 0: none. */
  flagsChanged: 100,
  /** Access bytes of the segments, u8. */
  segmentAccess: 512,
  acpiEnabled: 552,
  /** Linear: the code segment's base is in it. */
  instructionPointer: 556,
  previousInstructionPointer: 560,
  idtLimit: 564,
  idtBase: 568,
  gdtLimit: 572,
  gdtBase: 576,
  /** CR0 to CR7, u32. */
  control: 580,
  privilege: 612,
  /** The processor waits for an interrupt, u8. */
  halted: 616,
  /** Selectors in the order of {@link SegmentIndex}, u16. */
  selectors: 668,
  segmentIsNull: 724,
  segmentBases: 736,
  segmentLimits: 768,
  protectedMode: 800,
  code32: 804,
  stack32: 808,
  /** What lies at or above this address is not memory of the engine, u32. */
  memorySize: 812,
  end: 1300,
} as const;

/** Segments in the engine's order. */
export const SegmentIndex = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5 } as const;

/** Bytes of each of the two interrupt controllers. */
export const PIC_BYTES = 13;

/** The interrupt flag. */
export const INTERRUPT_FLAG = 0x200;
