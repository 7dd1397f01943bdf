/**
 * The words that the threads of a space share: one block for the space, one slot for each holder.
 *
 * @module
 */
import { LEDGER_BYTES, WindowLedger } from "../window/window-ledger.ts";

const LIVE = 0;
const GENERATION = 1;

/** State and generation of a space: what a reader asks once a batch. */
export class ControlBlock {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  get released(): boolean {
    return Atomics.load(this.#words, LIVE) !== 0;
  }

  release(): void {
    Atomics.store(this.#words, LIVE, 1);
  }

  /** Says which generation has been committed and posted. */
  publish(generation: number): void {
    Atomics.store(this.#words, GENERATION, generation | 0);
  }

  /** Whether a view of this generation is the newest. */
  isCurrent(generation: number): boolean {
    return Atomics.load(this.#words, GENERATION) === (generation | 0);
  }
}

/** A descriptor's life: issued, attached, and gone (detached, revoked or dead). */
export type SlotState = "issued" | "attached" | "gone";

const STATES: readonly SlotState[] = ["issued", "attached", "gone"];

/** One descriptor's slot: whether it was attached, and which windows its holder has open. */
export class HolderSlot {
  readonly buffer: SharedArrayBuffer;
  readonly ledger: WindowLedger;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4 + LEDGER_BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, 1);
    this.ledger = new WindowLedger(buffer, 4);
  }

  get state(): SlotState {
    return STATES[Atomics.load(this.#words, 0)] ?? "gone";
  }

  /** Goes from one state to the next. @returns the state found: `from` where it went */
  transit(from: SlotState, to: SlotState): SlotState {
    return STATES[Atomics.compareExchange(this.#words, 0, STATES.indexOf(from), STATES.indexOf(to))] ?? "gone";
  }

  end(): void {
    Atomics.store(this.#words, 0, STATES.indexOf("gone"));
  }
}
