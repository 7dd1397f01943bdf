/**
 * The timer of a PC: an 8254 at 0x40, and the part of port 0x61 that belongs to its third counter. The first interrupts.
 *
 * @see Intel 8254 data sheet
 * @module
 */
import { gpa, type Region, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";
import { defaultPcHost, type PcHost } from "../host/host.ts";
import { PitChannel, type PitChannelState, TICKS_PER_MILLISECOND } from "./pit-channel.ts";

/** The interrupt line of a PC's timer. */
export const PIT_IRQ = 0;

const PORTS = 0x40;
const CONTROL = 3;
const SPEAKER = 0x61;
const READ_BACK = 3;
const LATCH = 0;
const CHANNELS = 3;
/** A timer of the host that is set for less comes late anyway. */
const LEAST_MILLISECONDS = 1;
/** Memory refresh toggles this bit: guests look at it to see time pass. */
const REFRESH_MILLISECONDS = 0.015;

/** How it is made. */
export interface PitOptions {
  /** The machine's ports. */
  readonly ports: VirtAddressSpace;
  /**
   * Gives an edge on its interrupt line. What the host is too late for is told once, and not made up for.
   */
  readonly interrupt: () => void;
  /** Replaces the clock of the JavaScript host. */
  readonly host?: PcHost;
}

/** A timer as a value. */
export interface PitState {
  /** Its three counters. */
  readonly channels: readonly PitChannelState[];
  /** Bits 0 and 1 of port 0x61: the third counter's gate, and the loudspeaker's. */
  readonly speaker: number;
}

/** The timer. */
export class Pit implements Disposable {
  readonly #options: PitOptions;
  readonly #host: PcHost;
  readonly #regions: readonly Region[];
  readonly #channels: readonly [PitChannel, PitChannel, PitChannel];
  #speaker = 0;
  /** How often the first counter has come to its end. */
  #told = 0;
  #timer: Disposable | undefined;
  #mapped = true;

  /** @throws `VirtAddressSpaceError` `overlap` */
  constructor(options: PitOptions) {
    this.#options = options;
    this.#host = options.host ?? defaultPcHost;
    const now = (): number => this.#host.now();
    this.#channels = [new PitChannel(now), new PitChannel(now), new PitChannel(now)];
    this.#channels[2].gate = false;
    const { ports } = options;
    const regions: Region[] = [];
    ports.transaction((change) => {
      const counters = {
        read: (offset: number) => this.#read(offset),
        write: (offset: number, _size: number, value: number) => this.#write(offset, value & 0xff),
      };
      const speaker = {
        read: () => this.#readSpeaker(),
        write: (_offset: number, _size: number, value: number) => this.#writeSpeaker(value),
      };
      regions.push(change.map({ kind: "io", name: "pit", base: gpa(PORTS), size: 4, handler: counters }));
      regions.push(change.map({ kind: "io", name: "speaker", base: gpa(SPEAKER), size: 1, handler: speaker }));
    });
    this.#regions = regions;
  }

  /** Its state as a value. */
  save(): PitState {
    return { channels: this.#channels.map((channel) => channel.save()), speaker: this.#speaker };
  }

  /** Takes a saved state; one that makes no sense changes nothing. @throws {@link PcPlatformError} `foreign-state` */
  restore(state: PitState): void {
    if (
      !Array.isArray(state?.channels) ||
      state.channels.length !== CHANNELS ||
      !state.channels.every(isChannel) ||
      !isIn(state.speaker, 0, 3)
    ) {
      throw new PcPlatformError("foreign-state", "this state is not a timer's: it was cut or altered");
    }
    this.#channels.forEach((channel, i) => {
      channel.restore(state.channels[i] as PitChannelState);
    });
    this.#speaker = state.speaker;
    this.#begin();
  }

  /** Unmaps it. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#timer?.[Symbol.dispose]();
    const { ports } = this.#options;
    if (!ports.released) for (const region of this.#regions) void ports.unmap(region);
  }

  #read(offset: number): number {
    return offset === CONTROL ? 0xff : (this.#channels[offset] as PitChannel).read();
  }

  #write(offset: number, value: number): void {
    if (offset === CONTROL) this.#control(value);
    else if ((this.#channels[offset] as PitChannel).write(value) && offset === 0) this.#begin();
  }

  #control(word: number): void {
    const select = word >> 6;
    if (select === READ_BACK) {
      this.#channels.forEach((channel, i) => {
        if ((word & (2 << i)) === 0) return;
        if ((word & 0x20) === 0) channel.latch();
        if ((word & 0x10) === 0) channel.latchStatus();
      });
      return;
    }
    const channel = this.#channels[select] as PitChannel;
    if (((word >> 4) & 3) === LATCH) {
      channel.latch();
      return;
    }
    channel.control(word);
    if (select === 0) this.#timer?.[Symbol.dispose]();
  }

  #readSpeaker(): number {
    const refresh = Math.floor(this.#host.now() / REFRESH_MILLISECONDS) % 2 === 0 ? 0 : 0x10;
    return this.#speaker | refresh | (this.#channels[2].output ? 0x20 : 0);
  }

  #writeSpeaker(value: number): void {
    this.#speaker = value & 3;
    this.#channels[2].gate = (value & 1) !== 0;
  }

  /** The first counter was loaded. */
  #begin(): void {
    const [channel] = this.#channels;
    this.#told = Math.floor(channel.elapsed / channel.period);
    this.#wait();
  }

  #wait(): void {
    this.#timer?.[Symbol.dispose]();
    const [channel] = this.#channels;
    if (!channel.counts || (!channel.periodic && this.#told > 0)) return;
    const left = (this.#told + 1) * channel.period - channel.elapsed;
    this.#timer = this.#host.after(Math.max(left / TICKS_PER_MILLISECOND, LEAST_MILLISECONDS), () => this.#due());
  }

  #due(): void {
    const [channel] = this.#channels;
    const ends = Math.floor(channel.elapsed / channel.period);
    if (ends > this.#told) {
      this.#told = ends;
      this.#options.interrupt();
    }
    this.#wait();
  }
}

const isIn = (value: unknown, least: number, most: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

function isChannel(state: unknown): boolean {
  const { mode, access, bcd, reload, elapsed, gate } = (state ?? {}) as Partial<PitChannelState>;
  const kinds = isIn(mode, 0, 5) && isIn(access, 1, 3) && typeof bcd === "boolean" && typeof gate === "boolean";
  return kinds && isIn(reload, 1, 0x1_0000) && (elapsed === undefined || isIn(elapsed, 0, Number.MAX_SAFE_INTEGER));
}
