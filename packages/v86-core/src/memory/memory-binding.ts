/** Binds an engine to a space: what the map shows of the engine's memory, and what the guest wrote to it. @module */
import { HypervisorError } from "@virtspace/hypervisor";
import { DisposableStack, type FlatView, type GuestAddress, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { Cpu } from "../engine/cpu-layout.ts";
import { directExtent } from "./direct-extent.ts";
import type { V86Memory } from "./v86-memory.ts";
import { WrittenPages } from "./written-pages.ts";

const PAGE = 4096;

/** What a binding asks of the machine. */
export interface MemoryBindingOwner {
  /** The holder's name. */
  readonly name: string;
  /** Does something when the guest is not running. */
  whenOut(task: () => void): void;
  /** Where the guest runs, a promise of when it doesn't. */
  sliceEnd(): void | Promise<void>;
}

/** A binding; dispose it to let go. */
export class MemoryBinding implements Disposable {
  readonly #space: VirtAddressSpace;
  readonly #memory: V86Memory;
  readonly #stack = new DisposableStack();
  #written: WrittenPages | undefined;

  /** @throws {@link HypervisorError} `unsuitable-memory`; what the space throws */
  constructor(space: VirtAddressSpace, memory: V86Memory, { name, whenOut, sliceEnd }: MemoryBindingOwner) {
    this.#space = space;
    this.#memory = memory;
    if (directExtent(space.view(), memory) === 0) {
      throw new HypervisorError("unsuitable-memory", "this engine's memory has to begin at address 0: map what createMemory made there");
    }
    try {
      const holder = space.bind({ name, letGo: sliceEnd });
      this.#stack.defer(() => holder.put());
      this.#stack.use(
        space.listen({
          name,
          commit: (view) => whenOut(() => this.#show(view)),
          logStarted: () => {
            this.#written = new WrittenPages(memory);
          },
          logStopped: () => {
            this.#written = undefined;
          },
        }),
      );
      this.#stack.use(space.addDirtySource({ name, sync: (mark) => this.#tell(mark) }));
    } catch (error) {
      this.#stack.dispose();
      throw error;
    }
  }

  /** Forgets code under windows whose holders don't say what they write. */
  refresh(): void {
    for (const { offset, length } of this.#memory.openWindows()) this.#memory.hostWrote(offset, length);
  }

  /** Idempotent. */
  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #show(view: FlatView): void {
    const { engine } = this.#memory;
    const extent = directExtent(view, this.#memory);
    if (engine.data.getUint32(Cpu.memorySize, true) === extent) return;
    engine.data.setUint32(Cpu.memorySize, extent, true);
    engine.forget();
  }

  #tell(mark: (address: GuestAddress, length: number) => void): void {
    const places = this.#space.view().ranges.filter((range) => range.memory?.provider === this.#memory);
    this.#written?.take((offset) => {
      // What is marked at one address is marked wherever the memory shows.
      const place = places.find((range) => range.offset < offset + PAGE && range.offset + range.size > offset);
      if (place === undefined) return;
      const from = Math.max(offset, place.offset);
      mark((place.start + (from - place.offset)) as GuestAddress, Math.min(offset + PAGE, place.offset + place.size) - from);
    });
  }
}
