/** What backends that leave this process have in common: one buffer that frames are gathered in, and what waits to be sent. @module */
import { copyFrame, type Frame, MAX_FRAME_BYTES } from "@virtspace/network";

/** The most bytes of a frame with what is in front of it. */
export const MOST_FRAMED_BYTES: number = MAX_FRAME_BYTES + 64;

/** Gathers a frame behind some room for a header. @returns its bytes, good until the next one; undefined where its memory is gone */
export function gather(frame: Frame, header: number, buffer: Uint8Array): Uint8Array | undefined {
  const length = header + frame.length;
  if (length > buffer.length || copyFrame(frame, 0, buffer, header, frame.length) < frame.length) return undefined;
  return buffer.subarray(0, length);
}
