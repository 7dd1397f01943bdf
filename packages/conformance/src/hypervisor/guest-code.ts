/**
 * The few instructions of a 32-bit guest that the suite needs, as bytes: each test shows what its guest does. It keeps to what every
 * engine runs: no `iret`, no floating point.
 *
 * @see Intel SDM, volume 2
 * @module
 */

/** Bytes of one access. */
export type AccessSize = 1 | 2 | 4;

const OPERAND_16 = 0x66;
/** An opcode for bytes is one less than that for words, which 0x66 makes 16 bits wide. */
const sized = (size: AccessSize, opcode: number): number[] => (size === 1 ? [opcode - 1] : size === 2 ? [OPERAND_16, opcode] : [opcode]);
const u32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];

/** Code for one address. Each method appends an instruction. */
export class GuestCode {
  /** Where the code stands. */
  readonly origin: number;
  readonly #bytes: number[] = [];

  constructor(origin: number) {
    this.origin = origin;
  }

  /** The address of the next instruction: to jump back to. */
  get here(): number {
    return this.origin + this.#bytes.length;
  }

  /** The code. */
  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  /** Any bytes. */
  raw(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** `mov eax, value` */
  eax(value: number): this {
    return this.raw(0xb8, ...u32(value));
  }

  /** `mov ecx, value` */
  ecx(value: number): this {
    return this.raw(0xb9, ...u32(value));
  }

  /** `out port, al/ax/eax`, with the port in dx */
  out(port: number, size: AccessSize = 4): this {
    return this.raw(0xba, ...u32(port), ...sized(size, 0xef));
  }

  /** A value to a port. */
  write(port: number, value: number, size: AccessSize = 4): this {
    return this.eax(value).out(port, size);
  }

  /** `in al/ax/eax, port` into an eax of zeros */
  in(port: number, size: AccessSize = 4): this {
    return this.eax(0).raw(0xba, ...u32(port), ...sized(size, 0xed));
  }

  /** `mov [address], al/ax/eax` */
  store(address: number, size: AccessSize = 4): this {
    return this.raw(...sized(size, 0xa3), ...u32(address));
  }

  /** `mov al/ax/eax, [address]` into an eax of zeros */
  load(address: number, size: AccessSize = 4): this {
    return this.eax(0).raw(...sized(size, 0xa1), ...u32(address));
  }

  /** `inc dword [address]` */
  increment(address: number): this {
    return this.raw(0xff, 0x05, ...u32(address));
  }

  /** `jmp` */
  jump(address: number): this {
    return this.raw(0xe9, ...u32(address - (this.here + 5)));
  }

  /** `cmp eax, value` and `je` */
  jumpIfEax(value: number, address: number): this {
    this.raw(0x3d, ...u32(value));
    return this.raw(0x0f, 0x84, ...u32(address - (this.here + 6)));
  }

  /** `dec ecx` and `jnz` */
  loop(address: number): this {
    this.raw(0x49);
    return this.raw(0x0f, 0x85, ...u32(address - (this.here + 6)));
  }

  /** `sti`, and a `hlt` that no interrupt comes before. */
  waitForInterrupt(): this {
    return this.raw(0xfb, 0xf4);
  }

  /** `sti` */
  enableInterrupts(): this {
    return this.raw(0xfb);
  }

  /** `cli` */
  disableInterrupts(): this {
    return this.raw(0xfa);
  }

  /** `cli` and `hlt`, again and again */
  haltForGood(): this {
    const at = this.here;
    return this.raw(0xfa, 0xf4).jump(at);
  }

  /** The begin of an interrupt's handler: what it must not change is saved. */
  enterHandler(): this {
    return this.raw(0x9c, 0x50, 0x52);
  }

  /** Tells the PIC that the interrupt was handled, and returns as `iret` would at the same privilege. */
  leaveHandler(): this {
    this.raw(0xb0, 0x20, 0xe6, 0x20);
    return this.raw(0x5a, 0x58, 0x9d, 0xfb, 0xca, 4, 0);
  }

  /** Sets up the master PIC: vectors from 0x20, some lines open. @param levels - those that are level-triggered */
  setUpPic(lines: readonly number[], levels: readonly number[] = []): this {
    const bits = (list: readonly number[]): number => list.reduce((mask, line) => mask | (1 << line), 0);
    for (const [port, value] of [
      [0x20, 0x11],
      [0x21, 0x20],
      [0x21, 4],
      [0x21, 1],
      [0x21, ~bits(lines) & 0xff],
    ] as const)
      this.write(port, value, 1);
    return this.write(0x4d0, bits(levels), 1);
  }
}
