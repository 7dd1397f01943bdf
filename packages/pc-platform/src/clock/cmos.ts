/**
 * The clock of a PC that goes on while it is off, and the memory beside it: an MC146818 at 0x70. It tells the host's time until the guest
 * sets it.
 *
 * @see Motorola MC146818 data sheet
 * @module
 */
import { gpa, type Region, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { defaultPcHost, type PcHost } from "../host/host.ts";
import { type CalendarForm, calendarRegister, Field, fromRegisters } from "./calendar.ts";

/** Its index port, its interrupt line, and the register with the century. */
export const CMOS: {
  /** Its first port. */
  readonly base: number;
  /** Its interrupt line. */
  readonly irq: number;
  /** The register with the century. */
  readonly century: number;
} = {
  base: 0x70,
  irq: 8,
  century: Field.century,
};

const BYTES = 128;
const Register = { a: 0x0a, b: 0x0b, c: 0x0c, d: 0x0d } as const;
const Alarm = { seconds: 1, minutes: 3, hours: 5 } as const;
const UPDATING = 0x80;
const DIVIDER = 0x70;
const RUNNING = 0x20;
const RATE = 0x0f;
const Control = { set: 0x80, periodic: 0x40, alarm: 0x20, update: 0x10, binary: 4, twentyFour: 2 } as const;
const EVENTS = Control.periodic | Control.alarm | Control.update;
const INTERRUPTS = 0x80;
const POWERED = 0x80;
/** An alarm's byte from here on is any. */
const ANY = 0xc0;
const DAY_SECONDS = 86_400;
const SECOND = 1000;
/** How long before a second ends its registers are not to be read. */
const UPDATE_MILLISECONDS = 0.244;
/** A timer of the host that is set for less comes late anyway. */
const LEAST_MILLISECONDS = 1;

/** How it is made. */
export interface CmosOptions {
  /** The machine's ports. */
  readonly ports: VirtAddressSpace;
  /** Holds its interrupt line up, or lets it down. */
  readonly interrupt: (up: boolean) => void;
  /** Replaces the clock of the JavaScript host. */
  readonly host?: PcHost;
}

/** The clock as a value. */
export interface CmosState {
  /** Which byte the guest looks at. */
  readonly index: number;
  /** Its 128 bytes; those that tell time are taken from `ahead`. */
  readonly bytes: Uint8Array;
  /** How far it is ahead of the host's clock, milliseconds. */
  readonly ahead: number;
  /** What has happened that the guest has not asked for: bits of register C. */
  readonly events: number;
}

/** The clock. */
export class Cmos implements Disposable {
  readonly #options: CmosOptions;
  readonly #host: PcHost;
  readonly #region: Region;
  readonly #bytes = new Uint8Array(BYTES);
  #index = 0;
  #ahead = 0;
  #events = 0;
  /** The guest's milliseconds up to which events were looked for. */
  #seen: number;
  #timer: Disposable | undefined;
  #mapped = true;

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor(options: CmosOptions) {
    this.#options = options;
    this.#host = options.host ?? defaultPcHost;
    this.#bytes[Register.a] = RUNNING | 6;
    this.#bytes[Register.b] = Control.twentyFour;
    this.#bytes[Register.d] = POWERED;
    this.#seen = this.#now;
    const handler = {
      read: (offset: number) => (offset === 0 ? NOTHING : this.#read()),
      write: (offset: number, _size: number, value: number) => this.#write(offset, value & 0xff),
    };
    this.#region = options.ports.map({ kind: "io", name: "cmos", base: gpa(CMOS.base), size: 2, handler });
  }

  /** Its state as a value. */
  save(): CmosState {
    return { index: this.#index, bytes: this.#bytes.slice(), ahead: this.#ahead, events: this.#happened };
  }

  /** Takes a saved state; one that makes no sense changes nothing. @throws {@link PcPlatformError} `foreign-state` */
  restore(state: CmosState): void {
    const { index, bytes, ahead, events } = (state ?? {}) as Partial<CmosState>;
    const isIndex = Number.isInteger(index) && (index as number) >= 0 && (index as number) < BYTES;
    const isEvents = Number.isInteger(events) && ((events as number) & ~EVENTS) === 0;
    if (!isIndex || !isEvents || !(bytes instanceof Uint8Array) || bytes.length !== BYTES || !Number.isFinite(ahead)) {
      throw new PcPlatformError("foreign-state", "this state is not a clock's: it was cut or altered");
    }
    this.#index = index as number;
    this.#bytes.set(bytes);
    this.#ahead = ahead as number;
    this.#events = events as number;
    this.#seen = this.#now;
    this.#tell();
  }

  /** Unmaps it. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#timer?.[Symbol.dispose]();
    const { ports } = this.#options;
    if (!ports.released) void ports.unmap(this.#region);
  }

  /** The guest's time, milliseconds since 1970. */
  get #now(): number {
    return this.#host.time() + this.#ahead;
  }

  get #control(): number {
    return this.#bytes[Register.b] as number;
  }

  get #form(): CalendarForm {
    return { binary: (this.#control & Control.binary) !== 0, twentyFour: (this.#control & Control.twentyFour) !== 0 };
  }

  /** Whether the clock goes: not while the guest sets it, nor while its divider is held. */
  get #goes(): boolean {
    return (this.#control & Control.set) === 0 && ((this.#bytes[Register.a] as number) & DIVIDER) === RUNNING;
  }

  get #period(): number {
    const rate = (this.#bytes[Register.a] as number) & RATE;
    if (rate === 0) return Number.POSITIVE_INFINITY;
    // The two shortest are those of 6 and 7 doublings more.
    return (SECOND / 32_768) * 2 ** ((rate < 3 ? rate + 7 : rate) - 1);
  }

  #read(): number {
    const index = this.#index;
    switch (index) {
      case Register.a:
        return (this.#bytes[index] as number) | (this.#goes && SECOND - (this.#now % SECOND) < UPDATE_MILLISECONDS ? UPDATING : 0);
      case Register.c: {
        const events = this.#happened;
        this.#events = 0;
        this.#tell();
        return events | ((events & this.#control) === 0 ? 0 : INTERRUPTS);
      }
      default:
        return (this.#goes ? calendarRegister(index, this.#now, this.#form) : undefined) ?? (this.#bytes[index] as number);
    }
  }

  #write(offset: number, value: number): void {
    if (offset === 0) {
      // The highest bit is another's: it keeps non-maskable interrupts off.
      this.#index = value & 0x7f;
      return;
    }
    const index = this.#index;
    if (index === Register.c || index === Register.d) return;
    void this.#happened;
    const wasGoing = this.#goes;
    if (!wasGoing || calendarRegister(index, 0, this.#form) === undefined)
      this.#bytes[index] = index === Register.a ? value & ~UPDATING : value;
    else this.#setOne(index, value);
    if (wasGoing && !this.#goes) this.#hold();
    if (!wasGoing && this.#goes) this.#begin();
    this.#tell();
  }

  /** A guest that doesn't stop the clock to set it. */
  #setOne(index: number, value: number): void {
    this.#hold();
    this.#bytes[index] = value;
    this.#begin();
  }

  /** Its registers stand still: what is written to them counts from {@link #begin} on. */
  #hold(): void {
    const now = this.#now;
    for (let index = 0; index < BYTES; index++) {
      const value = calendarRegister(index, now, this.#form);
      if (value !== undefined) this.#bytes[index] = value;
    }
  }

  #begin(): void {
    const set = fromRegisters(this.#bytes, this.#form);
    if (set !== undefined) this.#ahead = set - this.#host.time();
    this.#seen = this.#now;
  }

  /** What has happened since somebody looked. */
  get #happened(): number {
    const [from, to] = [this.#seen, this.#now];
    this.#seen = Math.max(from, to);
    if (!this.#goes || to <= from) return this.#events;
    if (Math.floor(to / this.#period) > Math.floor(from / this.#period)) this.#events |= Control.periodic;
    const [first, last] = [Math.floor(from / SECOND) + 1, Math.floor(to / SECOND)];
    if (first <= last) this.#events |= Control.update;
    if (this.#alarmWithin(first, last)) this.#events |= Control.alarm;
    return this.#events;
  }

  #alarmWithin(first: number, last: number): boolean {
    for (let second = first; second <= Math.min(last, first + DAY_SECONDS); second++) if (this.#isAlarm(second)) return true;
    return false;
  }

  #isAlarm(second: number): boolean {
    const now = second * SECOND;
    return ([Alarm.seconds, Alarm.minutes, Alarm.hours] as const).every((index) => {
      const set = this.#bytes[index] as number;
      return set >= ANY || set === calendarRegister(index - 1, now, this.#form);
    });
  }

  /** Holds the line as what has happened asks, and comes again when something may. */
  #tell(): void {
    this.#options.interrupt((this.#happened & this.#control & EVENTS) !== 0);
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const awaited = this.#control & EVENTS & ~this.#events;
    if (awaited === 0 || !this.#goes) return;
    const now = this.#now;
    const period = (awaited & Control.periodic) === 0 ? SECOND : Math.min(this.#period, SECOND);
    this.#timer = this.#host.after(Math.max(period - (now % period), LEAST_MILLISECONDS), () => this.#tell());
  }
}

/** The index can't be read back. */
const NOTHING = 0xff;
