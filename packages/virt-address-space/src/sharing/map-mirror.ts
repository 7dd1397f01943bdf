/**
 * The owner's map in a thread that attached it: opens what commits describe, and keeps regions and doorbells under the
 * numbers that all holders share.
 *
 * @module
 */

import { gpa } from "../address/addresses.ts";
import { DirtyBitmap } from "../dirty/dirty-bitmap.ts";
import type { Doorbell, DoorbellSpec } from "../doorbell/doorbell.ts";
import type { SpaceFault } from "../error/space-fault.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { MadeDoorbell } from "../map/doorbell-maker.ts";
import { SpaceCore } from "../map/space-core.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { Notifier } from "../notifier/notifier.ts";
import { placeRegion, Region } from "../region/region.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import type { WindowLedger } from "../window/window-ledger.ts";
import type { Openers } from "./openers.ts";
import type { ProposalWriter } from "./proposal-writer.ts";
import type { BitmapRecord, CommitMessage, DoorbellRecord, MemoryRecord, RegionRecord } from "./protocol.ts";

/** What a mirror is made with. */
export interface MapMirrorParts {
  readonly name: string;
  readonly size: number;
  readonly ledger: WindowLedger | undefined;
  readonly openers: Openers;
  /** Knows what this thread proposed: that is taken as it is, and not opened anew. */
  readonly proposed: ProposalWriter;
  report(fault: SpaceFault): void;
  /** Signals a notifier that works in the owner's thread alone. */
  ring(doorbell: number, count: number): void;
  /** Asks the owner to take a doorbell away that was disposed here. */
  removeDoorbell(doorbell: Doorbell): void;
}

/** The map as the owner tells it. */
export class MapMirror {
  readonly core: SpaceCore;
  /** The number of this holder; 0 until the owner has told it. */
  holder = 0;
  readonly #parts: MapMirrorParts;
  readonly #regions = new Map<number, Region>();
  readonly #doorbells = new Map<number, Doorbell>();
  readonly #memories = new Map<number, MemoryProvider>();
  readonly #numbers = new Map<MemoryProvider, number>();
  readonly #ownDoorbells = new Set<Doorbell>();

  constructor(parts: MapMirrorParts) {
    this.#parts = parts;
    const { name, size, ledger } = parts;
    this.core = new SpaceCore({
      name,
      size,
      report: (fault) => parts.report(fault),
      numberMemory: (provider) => this.#numbers.get(provider) ?? 0,
      ...(ledger !== undefined && { ledger }),
    });
  }

  /** The numbers of the memories that the space has. */
  get numbers(): ReadonlyMap<MemoryProvider, number> {
    return this.#numbers;
  }

  /** Makes the owner's commit the map of this thread. @returns memory that is no longer mapped: to be closed once nothing uses it */
  adopt(message: CommitMessage): readonly SpaceMemory[] {
    this.#openMemories(message);
    for (const id of message.regionsGone) this.#regions.delete(id);
    const bases = new Map(this.core.regions);
    for (const record of message.regions) {
      const region = this.#regions.get(record.id) ?? this.#makeRegion(record);
      this.#regions.set(record.id, region);
      bases.set(region, gpa(record.base));
    }
    const mapped = new Set(this.#regions.values());
    const doorbellsRemoved = message.doorbellsGone.flatMap((id) => this.#doorbells.get(id) ?? []);
    for (const id of message.doorbellsGone) this.#doorbells.delete(id);
    const doorbellsAdded = message.doorbells.map((record) => this.#makeDoorbell(record));
    for (const doorbell of doorbellsAdded) this.#doorbells.set(doorbell.id, doorbell);
    const applied = this.core.apply(
      {
        generation: message.generation,
        regions: new Map([...bases].filter(([region]) => mapped.has(region))),
        doorbellsAdded,
        doorbellsRemoved,
      },
      "forced",
    );
    if (message.bitmaps !== undefined) this.#wireBitmaps(message.bitmaps);
    for (const doorbell of doorbellsRemoved) this.#closeNotifier(doorbell);
    this.core.tell(applied.notices);
    return applied.memoriesGone;
  }

  /** Lets go of everything. @returns memory to be closed once nothing uses it */
  clear(): readonly SpaceMemory[] {
    const { view, doorbells } = this.core;
    const applied = this.core.apply(
      { generation: view.generation, regions: new Map(), doorbellsAdded: [], doorbellsRemoved: [...doorbells] },
      "forced",
    );
    for (const doorbell of this.#doorbells.values()) this.#closeNotifier(doorbell);
    this.#doorbells.clear();
    this.core.tell(applied.notices);
    return applied.memoriesGone;
  }

  /** Closes memory that {@link adopt} or {@link clear} removed, unless it was mapped again. */
  close(memory: SpaceMemory): void {
    if (!this.core.retire(memory)) return;
    this.#memories.delete(memory.id);
    this.#numbers.delete(memory.provider);
  }

  #openMemories({ memories, regions }: CommitMessage): void {
    // Memory that came from this thread is taken as it is; a clone of it would be another provider.
    const own = new Map<number | undefined, MemoryProvider | undefined>();
    for (const { memory, proposed } of regions) {
      if (proposed?.holder === this.holder) own.set(memory, this.#parts.proposed.region(proposed.key)?.memory);
    }
    for (const record of memories) this.#openMemory(record, own.get(record.id));
  }

  #openMemory({ id, descriptor }: MemoryRecord, own: MemoryProvider | undefined): void {
    if (descriptor === undefined || this.#memories.has(id)) return;
    const provider = own ?? this.#opened(`${descriptor.kind} memory`, () => this.#parts.openers.openMemory(descriptor));
    if (provider === undefined) return;
    this.#memories.set(id, provider);
    this.#numbers.set(provider, id);
  }

  /** What can't be opened is out of reach; the rest of a commit is none the worse for it. */
  #opened<T>(what: string, open: () => T | undefined): T | undefined {
    try {
      return open();
    } catch (cause) {
      this.#parts.report({ code: "opener-failed", name: what, cause });
      return undefined;
    }
  }

  #makeRegion(record: RegionRecord): Region {
    const own = record.proposed?.holder === this.holder ? this.#parts.proposed.region(record.proposed.key) : undefined;
    const region =
      own ??
      new Region({
        name: record.name,
        kind: record.kind,
        size: record.size,
        priority: record.priority ?? 0,
        offset: record.offset ?? 0,
        readOnly: record.readOnly,
        home: record.home,
        memory: record.memory === undefined ? undefined : this.#memories.get(record.memory),
        target: record.target === undefined ? undefined : this.#regions.get(record.target),
      });
    placeRegion(region, record.id, undefined);
    return region;
  }

  #makeDoorbell(record: DoorbellRecord): Doorbell {
    const own = record.proposed?.holder === this.holder ? this.#parts.proposed.doorbell(record.proposed.key) : undefined;
    if (own !== undefined) this.#ownDoorbells.add(own);
    return (own ?? new MadeDoorbell(this.#describedDoorbell(record), record.datamatch)).place(record.id, (doorbell) => {
      if (this.#doorbells.has(doorbell.id)) this.#parts.removeDoorbell(doorbell);
    });
  }

  #describedDoorbell({ id, address, length, notifier }: DoorbellRecord): DoorbellSpec {
    const { openers } = this.#parts;
    return {
      address: gpa(address),
      length,
      notifier: (notifier && this.#opened(`a ${notifier.kind} notifier`, () => openers.openNotifier(notifier))) ?? this.#ownersNotifier(id),
    };
  }

  /** A notifier that was opened here ends here; one that this thread brought is its author's. */
  #closeNotifier(doorbell: Doorbell): void {
    if (!this.#ownDoorbells.delete(doorbell)) doorbell.notifier[Symbol.dispose]();
  }

  /** A notifier that works in the owner's thread alone is signalled by message. */
  #ownersNotifier(doorbell: number): Notifier {
    return {
      signal: (count = 1) => this.#parts.ring(doorbell, count),
      take: () => 0,
      subscribe: () => {
        throw new VirtAddressSpaceError(
          "not-shareable",
          "this notifier belongs to another thread: make it a SharedNotifier to wait for it here",
        );
      },
      share: () => undefined,
      [Symbol.dispose]: () => {},
    };
  }

  #wireBitmaps(records: readonly BitmapRecord[]): void {
    for (const memory of this.core.memories) {
      const buffers = records.find((record) => record.memory === memory.id)?.buffers ?? [];
      memory.bitmaps = buffers.map((buffer) => new DirtyBitmap(memory.provider.size, buffer));
    }
  }
}
