/**
 * An Ethernet frame on its way from one device to another, in as many pieces as its sender liked. Nobody copies it before it
 * has arrived: a piece may be a guest's memory.
 *
 * @module
 */
import type { Offload } from "../offload/offload.ts";

/** Memory that frames lie in, as an array and as a DataView of the same bytes: small parts are copied by the latter. */
export interface FrameMemory {
  /** The bytes. */
  readonly bytes: Uint8Array;
  /** The same bytes. */
  readonly data: DataView;
}

/**
 * A frame, from its destination address to the end of its payload, without a check sequence. It is good for the call that it
 * was passed to; who wants it longer copies it.
 */
export interface Frame {
  /** Bytes. */
  readonly length: number;
  /** Pieces, in order. */
  readonly pieces: number;
  /** What its sender left to do, or says that it has done. */
  readonly offload: Offload;
  /** The memory that a piece lies in; without bytes where it is gone. */
  memory(piece: number): FrameMemory;
  /** Where in its memory a piece begins. */
  offset(piece: number): number;
  /** Bytes of a piece. */
  size(piece: number): number;
}

/**
 * Copies a part of a frame.
 *
 * @param from - bytes from the start of the frame
 * @returns bytes copied: less than asked for where the frame ends, or its memory is gone
 */
export function copyFrame(frame: Frame, from: number, target: Uint8Array, to = 0, length: number = target.length - to): number {
  let skip = from;
  let done = 0;
  for (let piece = 0; piece < frame.pieces && done < length; piece++) {
    const size = frame.size(piece);
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const { bytes } = frame.memory(piece);
    const at = frame.offset(piece) + skip;
    const n = Math.min(size - skip, length - done);
    if (at + n > bytes.length) break;
    // A view costs more than a few bytes do.
    if (n > 32) target.set(bytes.subarray(at, at + n), to + done);
    else for (let i = 0; i < n; i++) target[to + done + i] = bytes[at + i] as number;
    done += n;
    skip = 0;
  }
  return done;
}
