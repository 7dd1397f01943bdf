/** What went through a queue of a network device. @module */

/**
 * Why a frame went no further:
 *
 * - `bad-header`: its header asks for what was not negotiated, or for a checksum outside of the frame
 * - `short`: no more than the header, or less
 * - `bad-buffer`: a receive buffer has no room for a header
 * - `too-big`: no receive buffer holds it
 * - `filtered`: the driver did not ask for such frames
 * - `link-down`: the link is down
 * - `disabled`: the queue is
 * - `in-flight`: a back-end had it that died, and may have sent it: no frame goes out twice. Or it lay among what the front-end gave
 *   back itself while no back-end was there
 * - `gone`: its memory went away, or its queue, which the driver broke
 */
export type NetDropReason =
  | "bad-header"
  | "short"
  | "bad-buffer"
  | "too-big"
  | "filtered"
  | "link-down"
  | "disabled"
  | "in-flight"
  | "gone";

/** Counters of a queue, over all the times that it ran. */
export interface NetQueueCounters {
  /** The queue's name. */
  readonly name: string;
  /** Frames. */
  frames: number;
  /** Bytes of frames. */
  bytes: number;
  /** Frames that went no further, by reason. */
  readonly drops: Partial<Record<NetDropReason, number>>;
  /** Frames that had to wait for room: in the backend for a queue that transmits, for buffers in one that receives. */
  waits: number;
  /** Notifications by the driver. */
  kicks: number;
  /** Interrupts sent. */
  interrupts: number;
}

/** Counters at the beginning. */
export function freshCounters(name: string): NetQueueCounters {
  return { name, frames: 0, bytes: 0, drops: {}, waits: 0, kicks: 0, interrupts: 0 };
}

/** Counts a frame that went no further. */
export function countDrop(counters: NetQueueCounters, reason: NetDropReason): void {
  counters.drops[reason] = (counters.drops[reason] ?? 0) + 1;
}
