/** A chain as the plain value that saving and migration carry, and back. @module */
import type { Chain } from "./chain.ts";
import { type ChainWalker, WRITE } from "./chain-walker.ts";
import type { InFlightBuffer } from "./queue-state.ts";

/** @param inOrder - whether a buffer that is done may wait for those before it: then it is said how much was written */
export function describe(chain: Chain, inOrder: boolean): InFlightBuffer {
  const piece = (at: number): [number, number] => [chain.range(at).start + chain.offset(at), chain.length(at)];
  const pieces = Array.from({ length: chain.pieces }, (_, at) => piece(at));
  return {
    id: chain.id,
    slots: chain.slots,
    ...(inOrder && chain.done && { written: chain.written }),
    readable: pieces.slice(0, chain.readablePieces),
    writable: pieces.slice(chain.readablePieces),
  };
}

/** Fills a chain, with addresses checked as a driver's are. @returns false where the walker found a fault */
export function addPieces(walker: ChainWalker, chain: Chain, { readable, writable }: InFlightBuffer): boolean {
  // Pieces, not descriptors: what was one for the guest may have been two for us.
  walker.begin(chain, Number.POSITIVE_INFINITY);
  const add = (flags: number) => (piece: readonly [number, number]) =>
    walker.add(chain, piece[0] % 2 ** 32, Math.floor(piece[0] / 2 ** 32), piece[1], flags);
  return readable.every(add(0)) && writable.every(add(WRITE));
}
