/**
 * Frames as a pcapng file, which Wireshark opens.
 *
 * @see draft-ietf-opsawg-pcapng, sections 4.1 (section header), 4.2 (interface description), 4.3 (enhanced packet)
 * @module
 */
import { copyFrame, type Frame } from "../frame/frame.ts";

/** Takes the bytes of a file, in order; they are the taker's. */
export type CaptureSink = (bytes: Uint8Array) => void;

/** How a capture is made. */
export interface CaptureOptions {
  /** Bytes of each frame that are kept; 65,535 unless given. */
  readonly snapLength?: number;
  /** Milliseconds since 1970; the wall clock unless given. */
  readonly now?: () => number;
  /** Whether the sink can take more: while it can't, frames are skipped, and the capture has a hole. It always can unless given. */
  readonly hasRoom?: () => boolean;
}

/** Which way a frame went, as the device sees it. */
export type Direction = "sent" | "received";

const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER = 0x1a2b3c4d;
const INTERFACE = 1;
const ENHANCED_PACKET = 6;
const ETHERNET = 1;
const OPTION_NAME = 2;
const OPTION_FLAGS = 2;
const pad4 = (length: number): number => (length + 3) & ~3;

/** Writes a pcapng file. */
export class PcapngWriter {
  readonly #sink: CaptureSink;
  readonly #snapLength: number;
  readonly #now: () => number;
  readonly #hasRoom: () => boolean;
  /** Frames that were not written, as the sink had no room. */
  skipped = 0;
  #interfaces = 0;

  constructor(sink: CaptureSink, { snapLength = 65535, now = Date.now, hasRoom = () => true }: CaptureOptions = {}) {
    this.#sink = sink;
    this.#snapLength = snapLength;
    this.#now = now;
    this.#hasRoom = hasRoom;
    const block = new Block(SECTION_HEADER, 16);
    block.u32(BYTE_ORDER);
    block.u16(1);
    block.u16(0);
    // The length of the section is not known: it is written as it goes.
    block.u32(0xffff_ffff);
    block.u32(0xffff_ffff);
    this.#sink(block.end());
  }

  /** Adds an interface. @returns its number */
  addInterface(name: string): number {
    const text = Uint8Array.from(name, (letter) => letter.charCodeAt(0) & 0x7f);
    const block = new Block(INTERFACE, 8 + 4 + pad4(text.length) + 4);
    block.u16(ETHERNET);
    block.u16(0);
    block.u32(this.#snapLength);
    block.u16(OPTION_NAME);
    block.u16(text.length);
    block.copy(text);
    block.u32(0);
    this.#sink(block.end());
    return this.#interfaces++;
  }

  /** Writes a frame as it is at this moment. */
  frame(interfaceNumber: number, frame: Frame, direction: Direction): void {
    if (!this.#hasRoom()) {
      this.skipped++;
      return;
    }
    const kept = Math.min(frame.length, this.#snapLength);
    const block = new Block(ENHANCED_PACKET, 20 + pad4(kept) + 12);
    const microseconds = Math.floor(this.#now() * 1000);
    block.u32(interfaceNumber);
    block.u32(Math.floor(microseconds / 2 ** 32));
    block.u32(microseconds % 2 ** 32);
    block.u32(kept);
    block.u32(frame.length);
    block.fill(kept, (bytes) => copyFrame(frame, 0, bytes));
    block.u16(OPTION_FLAGS);
    block.u16(4);
    block.u32(direction === "received" ? 1 : 2);
    block.u32(0);
    this.#sink(block.end());
  }
}

/** A block: type and length, its body, and the length again. */
class Block {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 8;

  constructor(type: number, body: number) {
    this.#bytes = new Uint8Array(body + 12);
    this.#view = new DataView(this.#bytes.buffer);
    this.#view.setUint32(0, type, true);
    this.#view.setUint32(4, body + 12, true);
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  copy(bytes: Uint8Array): void {
    this.fill(bytes.length, (target) => target.set(bytes));
  }

  fill(length: number, write: (target: Uint8Array) => void): void {
    write(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += pad4(length);
  }

  end(): Uint8Array {
    this.#view.setUint32(this.#at, this.#bytes.length, true);
    return this.#bytes;
  }
}
