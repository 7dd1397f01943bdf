/** A holder's side of proposals: writes the steps for the owner, and remembers what they were about until it answers. @module */

import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { MadeDoorbell } from "../map/doorbell-maker.ts";
import type { MapStep } from "../map/transaction.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import { Region } from "../region/region.ts";
import type { ProposedStep } from "./protocol.ts";

/** Writes proposals. */
export class ProposalWriter {
  readonly #made = new Map<number, Region | MadeDoorbell>();
  readonly #memoryKeys = new WeakMap<MemoryProvider, number>();
  #next = 1;

  /**
   * Writes steps for the owner.
   *
   * @throws {@link VirtAddressSpaceError} `not-shareable` for memory or a notifier that can't leave this thread
   */
  write(
    steps: readonly MapStep[],
    memoryIds: ReadonlyMap<MemoryProvider, number>,
  ): { readonly steps: readonly ProposedStep[]; readonly keys: readonly number[] } {
    const keyOf = new Map<Region, number>();
    const keys: number[] = [];
    const remember = (what: Region | MadeDoorbell): number => {
      const key = this.#next++;
      this.#made.set(key, what);
      keys.push(key);
      return key;
    };
    const written = steps.map((each): ProposedStep => {
      switch (each.step) {
        case "map": {
          const { region, base } = each;
          const key = remember(region);
          keyOf.set(region, key);
          const { name, kind, size, priority, offset, readOnly, memory, target } = region;
          const known = memory && memoryIds.get(memory);
          return {
            step: "map",
            key,
            record: { name, kind, base, size, priority, offset, readOnly, target: target?.id },
            known,
            memoryKey: memory && this.#keyOf(memory),
            memory: memory !== undefined && known === undefined ? shared(region, memory) : undefined,
            targetKey: target && keyOf.get(target),
          };
        }
        case "unmap":
          return { step: "unmap", id: each.region.id };
        case "move":
          return { step: "move", id: each.region.id, base: each.base };
        case "addDoorbell": {
          const { address, length, datamatch, notifier } = each.doorbell;
          const descriptor = notifier.share();
          if (descriptor === undefined) {
            throw new VirtAddressSpaceError(
              "not-shareable",
              "a doorbell from an attached thread needs a SharedNotifier: the writer may be in any thread",
            );
          }
          return {
            step: "addDoorbell",
            key: remember(each.doorbell as MadeDoorbell),
            record: { address, length, datamatch, notifier: descriptor },
          };
        }
        case "removeDoorbell":
          return { step: "removeDoorbell", id: each.doorbell.id };
      }
    });
    return { steps: written, keys };
  }

  #keyOf(memory: MemoryProvider): number {
    let key = this.#memoryKeys.get(memory);
    if (key === undefined) {
      key = this.#next++;
      this.#memoryKeys.set(memory, key);
    }
    return key;
  }

  /** The region that was proposed under a key. */
  region(key: number): Region | undefined {
    const made = this.#made.get(key);
    return made instanceof Region ? made : undefined;
  }

  /** The doorbell that was proposed under a key. */
  doorbell(key: number): MadeDoorbell | undefined {
    const made = this.#made.get(key);
    return made instanceof MadeDoorbell ? made : undefined;
  }

  /** The owner has answered. */
  forget(keys: readonly number[]): void {
    for (const key of keys) this.#made.delete(key);
  }
}

function shared(region: Region, memory: MemoryProvider): NonNullable<ReturnType<MemoryProvider["share"]>> {
  const descriptor = memory.share();
  if (descriptor !== undefined) return descriptor;
  throw new VirtAddressSpaceError(
    "not-shareable",
    `region "${region.name}" is backed by ${memory.kind} memory, which stays in its thread: map sharedMemory(size)`,
    { region: region.name, kind: memory.kind },
  );
}
