/**
 * Which pair of queues a flow uses: what the driver sent through a pair is answered through the same.
 *
 * @see virtio 1.3, section 5.1.6.5.5 (automatic receive steering)
 * @module
 */
import type { Flow } from "./flow.ts";

/** Places of the table; flows that share one share a pair. */
const PLACES = 1024;

/** Remembers a pair for each of many flows. */
export class FlowTable {
  /** One more than the pair; 0 where nothing was sent. */
  readonly #pairs = new Uint16Array(PLACES);

  /** A frame of the flow was sent through a pair. */
  learn(flow: Flow, pair: number): void {
    this.#pairs[place(flow)] = pair + 1;
  }

  /** The pair for a frame that is received. @param pairs - how many there are */
  pair(flow: Flow, pairs: number): number {
    const at = place(flow);
    const known = this.#pairs[at] as number;
    return known > 0 && known <= pairs ? known - 1 : at % pairs;
  }

  /** Forgets all. */
  clear(): void {
    this.#pairs.fill(0);
  }
}

/** The same for both directions of a flow: what differs between them is added up. */
function place({ kind, bytes, addressBytes }: Flow): number {
  if (kind === "none") return 0;
  let sum = 0;
  for (let i = 0; i < addressBytes; i += 4) sum = (sum + word(bytes, i)) >>> 0;
  if (!kind.startsWith("ip")) sum += half(bytes, addressBytes) + half(bytes, addressBytes + 2);
  return Math.imul(sum, 0x9e37_79b1) >>> 22;
}

function half(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}
