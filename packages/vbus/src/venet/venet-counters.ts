/** What a venet counts. @module */

/** Why a frame was dropped. */
export type VenetDropReason = "link-down" | "short" | "bad-length" | "bad-offload" | "too-many-pieces" | "gone" | "too-long";

/** Counters. */
export class VenetCounters {
  /** Frames from the guest. */
  txFrames = 0;
  /** Bytes from the guest. */
  txBytes = 0;
  /** Frames to the guest. */
  rxFrames = 0;
  /** Bytes to the guest. */
  rxBytes = 0;
  /** Times that a frame had to wait. */
  waits = 0;
  /** Frames that were dropped, by reason. */
  readonly drops: Partial<Record<VenetDropReason, number>> = {};

  /** Counts a frame that was dropped. */
  dropped(reason: VenetDropReason): void {
    this.drops[reason] = (this.drops[reason] ?? 0) + 1;
  }
}
