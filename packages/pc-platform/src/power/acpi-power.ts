/**
 * The power registers of ACPI: the button, the way off, and the timer that counts time. The machine is always in ACPI's mode.
 *
 * @see ACPI Specification 6.5, section 4.8.3
 * @module
 */
import { gpa, type Region, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { defaultPcHost, type PcHost } from "../host/host.ts";

/** Where the registers are, and the line that they hold up (SCI). */
export const POWER: {
  /** The first port. */
  readonly base: number;
  /** The interrupt line. */
  readonly irq: number;
} = { base: 0x600, irq: 9 };
/** Registers, as offsets. */
export const PowerRegister: { readonly status: number; readonly enable: number; readonly control: number; readonly timer: number } = {
  status: 0,
  enable: 2,
  control: 4,
  timer: 8,
};

const SIZE = 12;
const TICKS_PER_MILLISECOND = 3579.545;
/** The timer's highest bit: each time that it changes, that is told. */
const HALF = 2 ** 31;
const Event = { timer: 0x1, button: 0x100 } as const;
const EVENTS = Event.timer | Event.button;
/** Those that a guest may wait for: the lock's and the clock's never come. */
const AWAITED = EVENTS | 0x20 | 0x400;
const ACPI_MODE = 1;
const SLEEP = 0x2000;
const SLEEP_TYPE = 0x1c00;
const SOFT_OFF = 5 << 10;

/** How it is made. */
export interface AcpiPowerOptions {
  /** The machine's ports. */
  readonly ports: VirtAddressSpace;
  /** Holds its interrupt line up, or lets it down. */
  readonly interrupt: (up: boolean) => void;
  /** The guest turned the machine off. */
  readonly onPowerOff: () => void;
  /** Replaces the clock of the JavaScript host. */
  readonly host?: PcHost;
}

/** The registers as a value. */
export interface AcpiPowerState {
  /** Events that have happened: bits of PM1_STS. */
  readonly status: number;
  /** Events that interrupt: bits of PM1_EN. */
  readonly enabled: number;
  /** What the timer counts. */
  readonly ticks: number;
}

/** The registers. */
export class AcpiPower implements Disposable {
  readonly #options: AcpiPowerOptions;
  readonly #host: PcHost;
  readonly #region: Region;
  /** Milliseconds: when the timer was 0. */
  #start: number;
  #pressed = false;
  /** The half of the timer's count that the guest knows of. */
  #knownHalf = 0;
  #enabled = 0;
  #wake: Disposable | undefined;
  #mapped = true;

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor(options: AcpiPowerOptions) {
    this.#options = options;
    this.#host = options.host ?? defaultPcHost;
    this.#start = this.#host.now();
    const handler = {
      read: (offset: number, size: number) => this.#read(offset, size),
      write: (offset: number, size: number, value: number) => this.#write(offset, size, value),
    };
    this.#region = options.ports.map({ kind: "io", name: "acpi power", base: gpa(POWER.base), size: SIZE, handler });
  }

  /** Presses the power button: a guest that listens turns itself off in order. */
  press(): void {
    this.#pressed = true;
    this.#update();
  }

  /** Its state as a value. */
  save(): AcpiPowerState {
    return { status: this.#status, enabled: this.#enabled, ticks: this.#ticks };
  }

  /** Takes a saved state; one that makes no sense changes nothing. @throws {@link PcPlatformError} `foreign-state` */
  restore(state: AcpiPowerState): void {
    const { status, enabled, ticks } = (state ?? {}) as Partial<AcpiPowerState>;
    const isIn = (mask: number, value: unknown): value is number => Number.isInteger(value) && ((value as number) & ~mask) === 0;
    if (!isIn(EVENTS, status) || !isIn(AWAITED, enabled) || !Number.isSafeInteger(ticks) || (ticks as number) < 0) {
      throw new PcPlatformError("foreign-state", "this state is not that of power registers: it was cut or altered");
    }
    this.#start = this.#host.now() - (ticks as number) / TICKS_PER_MILLISECOND;
    this.#pressed = (status & Event.button) !== 0;
    this.#enabled = enabled;
    this.#knownHalf = this.#half - ((status & Event.timer) === 0 ? 0 : 1);
    this.#update();
  }

  /** Unmaps it. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#wake?.[Symbol.dispose]();
    const { ports } = this.#options;
    if (!ports.released) void ports.unmap(this.#region);
  }

  get #ticks(): number {
    return Math.max(Math.floor((this.#host.now() - this.#start) * TICKS_PER_MILLISECOND), 0);
  }

  get #half(): number {
    return Math.floor(this.#ticks / HALF);
  }

  get #status(): number {
    return (this.#pressed ? Event.button : 0) | (this.#half === this.#knownHalf ? 0 : Event.timer);
  }

  #read(offset: number, size: number): number {
    const timer = this.#ticks % 2 ** 32;
    const low = this.#status | (this.#enabled << 16);
    const bytes = [low, ACPI_MODE, timer].flatMap((word) => [word, word >>> 8, word >>> 16, word >>> 24].map((byte) => byte & 0xff));
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] ?? 0xff);
    return value;
  }

  #write(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) this.#writeByte(offset + i, Math.floor(value / 2 ** (8 * i)) & 0xff);
    this.#update();
  }

  #writeByte(offset: number, byte: number): void {
    const bits = byte << (8 * (offset % 2));
    const register = offset & ~1;
    if (register === PowerRegister.status) {
      // What is written as 1 has been heard.
      if ((bits & Event.button) !== 0) this.#pressed = false;
      if ((bits & Event.timer) !== 0) this.#knownHalf = this.#half;
    } else if (register === PowerRegister.enable) {
      const kept = this.#enabled & ~(0xff << (8 * (offset % 2)));
      this.#enabled = (kept | bits) & AWAITED;
    } else if (register === PowerRegister.control && (bits & SLEEP) !== 0 && (bits & SLEEP_TYPE) === SOFT_OFF) this.#options.onPowerOff();
  }

  #update(): void {
    this.#options.interrupt((this.#status & this.#enabled) !== 0);
    this.#wake?.[Symbol.dispose]();
    this.#wake = undefined;
    if ((this.#enabled & Event.timer) === 0 || this.#half !== this.#knownHalf) return;
    const left = (this.#half + 1) * HALF - this.#ticks;
    this.#wake = this.#host.after(left / TICKS_PER_MILLISECOND + 1, () => this.#update());
  }
}
