/**
 * A provider's memory as one space knows it: under a number that all holders share, with the bitmaps that record writes
 * to it.
 *
 * @module
 */
import type { DirtyBitmap } from "../dirty/dirty-bitmap.ts";
import type { MemoryProvider, MemoryReference } from "../memory/memory-provider.ts";

/** Memory that is mapped in a space. */
export class SpaceMemory {
  /** A number that every holder of the space knows it by. */
  readonly id: number;
  /** Where the bytes come from. */
  readonly provider: MemoryProvider;
  readonly #observed: boolean;
  readonly #reference: MemoryReference;
  readonly #watch: Disposable;
  #bitmaps: readonly DirtyBitmap[] = [];
  /** Commits that removed it and whose grace periods are under way. @internal */
  retiring = 0;
  /** Whether a write must be told to {@link wrote}: asked at every write, so it is a plain field. @internal */
  tracked: boolean;

  /** @internal */
  constructor(id: number, provider: MemoryProvider, onMove: (memory: SpaceMemory) => void) {
    this.id = id;
    this.provider = provider;
    this.#reference = provider.retain();
    this.#watch = provider.onMove(() => onMove(this));
    this.#observed = provider.observesWrites;
    this.tracked = this.#observed;
  }

  /** @internal */
  get bitmaps(): readonly DirtyBitmap[] {
    return this.#bitmaps;
  }

  /** @internal */
  set bitmaps(bitmaps: readonly DirtyBitmap[]) {
    this.#bitmaps = bitmaps;
    this.tracked = this.#observed || bitmaps.length > 0;
  }

  /** Records a write of the host's that has been done. @internal */
  wrote(offset: number, length: number): void {
    this.mark(offset, length);
    if (this.#observed) this.provider.hostWrote(offset, length);
  }

  /** Records a write in the dirty logs alone: the guest's own are no news to the engine that owns the memory. @internal */
  mark(offset: number, length: number): void {
    const bitmaps = this.#bitmaps;
    for (let i = 0; i < bitmaps.length; i++) (bitmaps[i] as DirtyBitmap).markBytes(offset, length);
  }

  /** Takes the mapping back as if it had never been. @internal */
  abandon(): void {
    this.#watch[Symbol.dispose]();
    this.#reference.abandon();
  }

  /** Lets go of the provider. @internal */
  release(): void {
    this.#watch[Symbol.dispose]();
    this.#reference[Symbol.dispose]();
  }
}
