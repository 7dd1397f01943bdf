/** How long a queue may look for more before it waits for a notification. @module */
import { VirtioError } from "../error/virtio-error.ts";

/** @returns the time @throws {@link VirtioError} `invalid-argument` for one that does not end, or is before now */
export function requirePollTime(microseconds: number): number {
  if (Number.isFinite(microseconds) && microseconds >= 0) return microseconds;
  throw new VirtioError("invalid-argument", `a queue can't look for more for ${microseconds} µs: give a number from 0`, { microseconds });
}
