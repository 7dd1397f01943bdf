/** Gives an endpoint a frame in a shape that it can take. @module */
import type { Frame } from "../frame/frame.ts";
import type { NetworkEndpoint } from "../port/network-backend.ts";
import { canTake } from "./offload.ts";
import type { Segmenter } from "./segmenter.ts";

/**
 * What became of a frame:
 *
 * - `taken`
 * - `no-room`: none of it was
 * - `cut-short`: some of the frames that it was cut into were, then there was no room
 * - `offload`: its headers don't hold what it says of them
 */
export type Delivery = "taken" | "no-room" | "cut-short" | "offload";

/** Passes a frame on: as it is where the endpoint can take it, else finished, and cut, by the segmenter. */
export function deliver(endpoint: NetworkEndpoint, frame: Frame, segmenter: Segmenter): Delivery {
  if (canTake(endpoint.accepts, frame.offload)) return endpoint.receive(frame) ? "taken" : "no-room";
  const frames = segmenter.frames(frame);
  if (frames === undefined) return "offload";
  let first = true;
  for (const each of frames) {
    if (!endpoint.receive(each)) return first ? "no-room" : "cut-short";
    first = false;
  }
  return "taken";
}
