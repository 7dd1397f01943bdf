/**
 * A serial port: a 16550A as a PC has it. What the guest sends is there at once, so its transmitter is always empty; what it is to
 * receive waits in a FIFO of 16 bytes.
 *
 * @see PC16550D data sheet; Linux, drivers/tty/serial/8250
 * @module
 */
import { gpa, type Region, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { DLAB, Enable, FifoControl, Identity, LineStatus, ModemControl, ModemStatus, Register } from "./uart-registers.ts";

/** The first serial port of a PC: its ports, and its interrupt line. */
export const COM1 = {
  /** Its first port. */
  base: 0x3f8,
  /** Its interrupt line. */
  irq: 4,
} as const;

const REGISTERS = 8;
const FIFO_BYTES = 16;
/** How full the FIFO is when it interrupts, by the upper two bits of its control. */
const TRIGGERS = [1, 4, 8, 14] as const;
/** A modem that is there and ready. */
const CONNECTED = ModemStatus.cts | ModemStatus.dsr | ModemStatus.carrier;

/** How it is made. */
export interface UartOptions {
  /** The machine's ports. */
  readonly ports: VirtAddressSpace;
  /** Its first port; that of {@link COM1} unless given. */
  readonly base?: number;
  /** Holds its interrupt line up, or lets it down. */
  readonly interrupt?: (up: boolean) => void;
  /** Told of each byte that the guest sends. */
  readonly onByte: (byte: number) => void;
  /** Told when there is room again after {@link Uart.receive} took less than it was given. */
  readonly onRoom?: () => void;
}

/** A serial port as a value. */
export interface UartState {
  /** The registers that are written, by their offset: divisor, interrupt enable, FIFO control, line control, modem control, scratch. */
  readonly registers: readonly number[];
  /** What waits for the guest. */
  readonly received: readonly number[];
  /** Whether the transmitter's interrupt is due. */
  readonly transmitted: boolean;
  /** Whether bytes were lost. */
  readonly overrun: boolean;
}

/** A serial port. */
export class Uart implements Disposable {
  readonly #options: UartOptions;
  readonly #region: Region;
  #received: number[] = [];
  #divisor = 1;
  #enabled = 0;
  #fifo = 0;
  #lineControl = 0;
  #modemControl = 0;
  #scratch = 0;
  /** The transmitter became empty, and the guest has not looked since. */
  #transmitted = false;
  #overrun = false;
  #wanting = false;
  #up = false;
  #mapped = true;

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor(options: UartOptions) {
    this.#options = options;
    this.#region = options.ports.map({
      kind: "io",
      name: "uart",
      base: gpa(options.base ?? COM1.base),
      size: REGISTERS,
      // The chip is 8 bits wide: a wider access is one to the first register.
      handler: { read: (offset) => this.#read(offset), write: (offset, _size, value) => this.#write(offset, value & 0xff) },
    });
  }

  /**
   * Gives the guest bytes to read.
   *
   * @returns how many were taken: no more than there is room for; `onRoom` says when to come again
   */
  receive(bytes: Uint8Array): number {
    const room = (this.#hasFifo ? FIFO_BYTES : 1) - this.#received.length;
    const taken = Math.max(Math.min(room, bytes.length), 0);
    this.#received.push(...bytes.subarray(0, taken));
    this.#wanting = taken < bytes.length;
    this.#update();
    return taken;
  }

  /** Its state as a value. */
  save(): UartState {
    return {
      registers: [this.#divisor, this.#enabled, this.#fifo, this.#lineControl, this.#modemControl, this.#scratch],
      received: [...this.#received],
      transmitted: this.#transmitted,
      overrun: this.#overrun,
    };
  }

  /** Takes a saved state; one that makes no sense changes nothing. @throws {@link PcPlatformError} `foreign-state` */
  restore(state: UartState): void {
    const { registers, received, transmitted, overrun } = state ?? {};
    const isByte = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xff;
    const sound =
      Array.isArray(registers) &&
      registers.length === 6 &&
      Number.isInteger(registers[0]) &&
      registers[0] >= 0 &&
      registers[0] <= 0xffff &&
      registers.slice(1).every(isByte) &&
      Array.isArray(received) &&
      received.length <= FIFO_BYTES &&
      received.every(isByte);
    if (!sound) throw new PcPlatformError("foreign-state", "this state is not a serial port's: it was cut or altered");
    [this.#divisor, this.#enabled, this.#fifo, this.#lineControl, this.#modemControl, this.#scratch] = registers as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.#received = [...received];
    this.#transmitted = transmitted === true;
    this.#overrun = overrun === true;
    this.#update();
  }

  /** Unmaps it, and lets its line down. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#drive(false);
    if (!this.#options.ports.released) void this.#options.ports.unmap(this.#region);
  }

  get #hasFifo(): boolean {
    return (this.#fifo & FifoControl.enable) !== 0;
  }

  get #loops(): boolean {
    return (this.#modemControl & ModemControl.loop) !== 0;
  }

  #read(offset: number): number {
    switch (offset) {
      case Register.data:
        return (this.#lineControl & DLAB) === 0 ? this.#take() : this.#divisor & 0xff;
      case Register.interruptEnable:
        return (this.#lineControl & DLAB) === 0 ? this.#enabled : this.#divisor >> 8;
      case Register.interruptIdentity:
        return this.#identify();
      case Register.lineControl:
        return this.#lineControl;
      case Register.modemControl:
        return this.#modemControl;
      case Register.lineStatus:
        return this.#lineStatus();
      case Register.modemStatus:
        return this.#modemStatus();
      default:
        return this.#scratch;
    }
  }

  #write(offset: number, value: number): void {
    switch (offset) {
      case Register.data:
        if ((this.#lineControl & DLAB) === 0) this.#send(value);
        else this.#divisor = (this.#divisor & 0xff00) | value;
        break;
      case Register.interruptEnable:
        if ((this.#lineControl & DLAB) === 0) this.#enable(value & 0xf);
        else this.#divisor = (this.#divisor & 0xff) | (value << 8);
        break;
      case Register.fifoControl:
        this.#controlFifo(value);
        break;
      case Register.lineControl:
        this.#lineControl = value;
        break;
      case Register.modemControl:
        this.#modemControl = value & 0x1f;
        break;
      case Register.scratch:
        this.#scratch = value;
        break;
    }
    this.#update();
  }

  #send(byte: number): void {
    this.#transmitted = true;
    if (!this.#loops) {
      this.#options.onByte(byte);
      return;
    }
    if (this.#received.length < (this.#hasFifo ? FIFO_BYTES : 1)) this.#received.push(byte);
    else this.#overrun = true;
  }

  #take(): number {
    const byte = this.#received.shift() ?? 0;
    this.#update();
    if (this.#wanting && this.#received.length === 0) {
      this.#wanting = false;
      this.#options.onRoom?.();
    }
    return byte;
  }

  /** Who lets the transmitter's interrupt through while it is empty has one at once. */
  #enable(value: number): void {
    if ((value & ~this.#enabled & Enable.transmitterEmpty) !== 0) this.#transmitted = true;
    this.#enabled = value;
  }

  #controlFifo(value: number): void {
    const toggled = ((value ^ this.#fifo) & FifoControl.enable) !== 0;
    if (toggled || (value & FifoControl.clearReceiver) !== 0) this.#received = [];
    this.#fifo = value & (FifoControl.enable | 0xc0);
  }

  /** Reading why there is an interrupt answers that of the transmitter. */
  #identify(): number {
    const cause = this.#cause();
    if (cause === Identity.transmitterEmpty) {
      this.#transmitted = false;
      this.#update();
    }
    return cause | (this.#hasFifo ? Identity.fifosEnabled : 0);
  }

  #cause(): number {
    const enabled = this.#enabled;
    if ((enabled & Enable.lineStatus) !== 0 && this.#overrun) return Identity.lineStatus;
    if ((enabled & Enable.received) !== 0 && this.#received.length > 0) {
      const trigger = this.#hasFifo ? (TRIGGERS[this.#fifo >> 6] as number) : 1;
      // Bytes that wait below the trigger are told too: nobody sends more than there is, so the time for it is always up.
      return this.#received.length >= trigger ? Identity.received : Identity.timeout;
    }
    if ((enabled & Enable.transmitterEmpty) !== 0 && this.#transmitted) return Identity.transmitterEmpty;
    return Identity.none;
  }

  #lineStatus(): number {
    const overrun = this.#overrun ? LineStatus.overrun : 0;
    this.#overrun = false;
    this.#update();
    return LineStatus.holdingEmpty | LineStatus.idle | overrun | (this.#received.length > 0 ? LineStatus.dataReady : 0);
  }

  /** In a loop the lines to the modem are those from it. */
  #modemStatus(): number {
    if (!this.#loops) return CONNECTED;
    const control = this.#modemControl;
    return (
      ((control & ModemControl.rts) !== 0 ? ModemStatus.cts : 0) |
      ((control & ModemControl.dtr) !== 0 ? ModemStatus.dsr : 0) |
      ((control & ModemControl.out1) !== 0 ? ModemStatus.ring : 0) |
      ((control & ModemControl.out2) !== 0 ? ModemStatus.carrier : 0)
    );
  }

  /** A PC's interrupt goes through a gate that OUT2 opens. */
  #update(): void {
    this.#drive(this.#cause() !== Identity.none && (this.#modemControl & ModemControl.out2) !== 0);
  }

  #drive(up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    this.#options.interrupt?.(up);
  }
}
