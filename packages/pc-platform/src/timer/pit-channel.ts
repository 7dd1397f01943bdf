/**
 * A counter of the 8254. It is not stepped: what it holds follows from when it was loaded.
 *
 * @see Intel 8254 data sheet, "Mode definitions"
 * @module
 */

/** Steps of the counter in a millisecond. */
export const TICKS_PER_MILLISECOND = 1193.182;

const WHOLE = 0x1_0000;
const LOW = 1;
const HIGH = 2;
const BOTH = 3;

/** A counter as a value. */
export interface PitChannelState {
  /** 0 to 5. */
  readonly mode: number;
  /** Which bytes are read and written: 1 the low one, 2 the high one, 3 both. */
  readonly access: number;
  /** Whether it counts in decimal digits. */
  readonly bcd: boolean;
  /** Steps from one end of the count to the next. */
  readonly reload: number;
  /** Steps since it was loaded; undefined where it was not. */
  readonly elapsed: number | undefined;
  /** Whether it may count. */
  readonly gate: boolean;
}

/** One of three. */
export class PitChannel {
  readonly #now: () => number;
  #mode = 3;
  #access: number = BOTH;
  #bcd = false;
  #reload = WHOLE;
  /** When it was loaded, milliseconds; undefined until then. */
  #start: number | undefined;
  #gate = true;
  /** The low byte of a count whose high byte is still to come. */
  #half: number | undefined;
  #readsHigh = false;
  #latched: number | undefined;
  #status: number | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** 0, 2, 3 or 4; others count as the one-shot that they resemble. */
  get mode(): number {
    return this.#mode;
  }

  /** Steps from one end of the count to the next. */
  get period(): number {
    return this.#reload;
  }

  /** Whether it counts. */
  get counts(): boolean {
    return this.#start !== undefined && this.#gate;
  }

  /** Whether it begins anew at each end. */
  get periodic(): boolean {
    return this.#mode === 2 || this.#mode === 3;
  }

  /** Whole steps since it was loaded. */
  get elapsed(): number {
    return this.#start === undefined ? 0 : Math.max(Math.floor((this.#now() - this.#start) * TICKS_PER_MILLISECOND), 0);
  }

  /** The level at its output. */
  get output(): boolean {
    if (this.#start === undefined) return this.#mode !== 0;
    const { elapsed } = this;
    if (this.#mode === 3) return elapsed % this.#reload < Math.ceil(this.#reload / 2);
    if (this.#mode === 2) return elapsed % this.#reload !== this.#reload - 1;
    return elapsed >= this.#reload;
  }

  /** A rising gate begins the count anew; a counter that is shut stands still. */
  set gate(gate: boolean) {
    if (gate && !this.#gate && this.#start !== undefined) this.#start = this.#now();
    this.#gate = gate;
  }

  get gate(): boolean {
    return this.#gate;
  }

  /** Takes a control word's mode, access and kind of digits: the counter waits to be loaded. */
  control(word: number): void {
    const mode = (word >> 1) & 7;
    this.#mode = mode > 5 ? mode - 4 : mode;
    this.#access = (word >> 4) & 3;
    this.#bcd = (word & 1) !== 0;
    this.#start = undefined;
    this.#half = undefined;
    this.#readsHigh = false;
    this.#latched = undefined;
    this.#status = undefined;
  }

  /** Keeps the count for the next reads. */
  latch(): void {
    this.#latched ??= this.#count();
  }

  /** Keeps the status for the next read. */
  latchStatus(): void {
    const output = this.output ? 0x80 : 0;
    const unloaded = this.#start === undefined ? 0x40 : 0;
    this.#status ??= output | unloaded | (this.#access << 4) | (this.#mode << 1) | (this.#bcd ? 1 : 0);
  }

  /** @returns whether the counter is loaded with that */
  write(value: number): boolean {
    if (this.#access === BOTH && this.#half === undefined) {
      this.#half = value;
      return false;
    }
    const count = this.#access === LOW ? value : this.#access === HIGH ? value << 8 : (this.#half ?? 0) | (value << 8);
    this.#half = undefined;
    this.#reload = (this.#bcd ? fromDigits(count) : count) || (this.#bcd ? 10_000 : WHOLE);
    this.#start = this.#now();
    return true;
  }

  read(): number {
    if (this.#status !== undefined) {
      const status = this.#status;
      this.#status = undefined;
      return status;
    }
    const count = this.#latched ?? this.#count();
    const high = this.#access === HIGH || (this.#access === BOTH && this.#readsHigh);
    if (this.#access === BOTH) this.#readsHigh = !this.#readsHigh;
    if (this.#access !== BOTH || high) this.#latched = undefined;
    return high ? count >> 8 : count & 0xff;
  }

  save(): PitChannelState {
    const elapsed = this.#start === undefined ? undefined : this.elapsed;
    return { mode: this.#mode, access: this.#access, bcd: this.#bcd, reload: this.#reload, elapsed, gate: this.#gate };
  }

  /** Takes a state that was checked. */
  restore({ mode, access, bcd, reload, elapsed, gate }: PitChannelState): void {
    this.control((access << 4) | (mode << 1) | (bcd ? 1 : 0));
    this.#reload = reload;
    this.#start = elapsed === undefined ? undefined : this.#now() - elapsed / TICKS_PER_MILLISECOND;
    this.#gate = gate;
  }

  #count(): number {
    const { elapsed } = this;
    const left =
      this.#mode === 3
        ? this.#reload - ((2 * elapsed) % this.#reload)
        : this.#mode === 2
          ? this.#reload - (elapsed % this.#reload)
          : (((this.#reload - elapsed) % WHOLE) + WHOLE) % WHOLE;
    return this.#bcd ? toDigits(left % 10_000) : left & 0xffff;
  }
}

const fromDigits = (bcd: number): number => [12, 8, 4, 0].reduce((value, shift) => value * 10 + ((bcd >> shift) & 15), 0);
const toDigits = (value: number): number => [1000, 100, 10, 1].reduce((bcd, unit) => (bcd << 4) | (Math.floor(value / unit) % 10), 0);
