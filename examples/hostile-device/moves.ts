/** What a hostile device does with a buffer. A script is a list of these. */
import type { Chain, ChainHandler } from "@virtspace/virtio";

/** What a move can use, beside the buffer. */
interface Scene {
  /** What an honest device would do. */
  readonly honest: ChainHandler;
  /** Says that the device needs a reset. */
  readonly needReset: () => void;
}

/** Something that is done with a buffer. */
export type Move = (chain: Chain, scene: Scene) => unknown;

/** Does what is right. */
export const serve: Move = (chain, { honest }) => honest(chain);

/** Does what is right, and says that it wrote another number of bytes. */
export const claim =
  (written: number): Move =>
  (chain, { honest }) => {
    honest(chain);
    // A queue tells no driver of more bytes than there was room for: so there was room for as many.
    chain.writableBytes = Math.max(chain.writableBytes, written);
    chain.push(written);
  };

/** Gives back, in place of the buffer, one that it may never have had. */
export const misname =
  (id: number): Move =>
  (chain) => {
    chain.id = id;
  };

/** Never gives it back. */
export const keep: Move = (chain) => chain.hold();

/** Never gives it back, and says that the device needs a reset. */
export const breakDown: Move = (chain, { needReset }) => {
  chain.hold();
  needReset();
};
