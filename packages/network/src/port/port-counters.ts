/** What went through a port. @module */

/**
 * - `short`, `long`: no frame has that length
 * - `bad-source`: a group address as the sender's
 * - `no-room`: the receiver had none
 * - `offload`: its headers don't hold what its sender says is left to do with it
 * - `flood-limit`: too many frames for everybody
 * - `gone`: the frame's memory went away
 * - `unplugged`: sent through a port that was disposed
 */
export type DropReason = "short" | "long" | "bad-source" | "no-room" | "offload" | "flood-limit" | "gone" | "unplugged";

/** Frames and bytes, by direction, and what was dropped. */
export class PortCounters {
  /** Frames from the device. */
  sentFrames = 0;
  /** Bytes from the device. */
  sentBytes = 0;
  /** Frames to the device. */
  receivedFrames = 0;
  /** Bytes to the device. */
  receivedBytes = 0;
  /** Frames that were dropped, by reason. */
  readonly drops: Partial<Record<DropReason, number>> = {};

  /** Counts a frame from the device. */
  sent(bytes: number): void {
    this.sentFrames++;
    this.sentBytes += bytes;
  }

  /** Counts a frame to the device. */
  received(bytes: number): void {
    this.receivedFrames++;
    this.receivedBytes += bytes;
  }

  /** Counts a frame that was dropped. */
  dropped(reason: DropReason): void {
    this.drops[reason] = (this.drops[reason] ?? 0) + 1;
  }
}
