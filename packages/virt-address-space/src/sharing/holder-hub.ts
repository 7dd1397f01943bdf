/**
 * The owner's side of sharing: the holders in other threads, what they are told, and what becomes of them.
 *
 * @module
 */
import type { DirtyLog } from "../dirty/dirty-log.ts";
import type { Doorbell } from "../doorbell/doorbell.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { GracePeriods } from "../holder/grace-period.ts";
import type { Commit } from "../holder/holder.ts";
import type { References } from "../holder/references.ts";
import type { SpaceHost } from "../host/host.ts";
import type { Applied, SpaceCore } from "../map/space-core.ts";
import type { MapStep, Transaction } from "../map/transaction.ts";
import { requireSharedArrayBuffer } from "../memory/shared-memory.ts";
import type { Region } from "../region/region.ts";
import { ControlBlock, HolderSlot } from "./control-block.ts";
import { type DescriptorOptions, makeDescriptor, type SpaceDescriptor } from "./descriptor.ts";
import { IoForwarder } from "./io-forwarder.ts";
import { Openers } from "./openers.ts";
import type { CommitMessage } from "./protocol.ts";
import { bitmapRecords, doorbellRecord, memoryRecord, regionRecord } from "./records.ts";
import { RemoteHolder } from "./remote-holder.ts";
import { PortLink, type SpaceLink } from "./space-link.ts";

/** What the hub needs of its owner. */
export interface HubOwner {
  readonly id: string;
  readonly core: SpaceCore;
  readonly graces: GracePeriods;
  readonly references: References;
  readonly host: SpaceHost;
  readonly graceMilliseconds: number;
  readonly logs: ReadonlySet<DirtyLog>;
  generation(): number;
  transaction<T>(body: (transaction: Transaction) => T): { readonly result: T; readonly commit: Commit };
  /** Commits the removal of what a holder leaves behind. */
  forget(steps: readonly MapStep[]): void;
}

/** A commit to be passed on. */
export interface Publication {
  readonly applied: Applied;
  readonly generation: number;
  readonly doorbells: readonly Doorbell[];
  readonly doorbellsGone: readonly Doorbell[];
  readonly bitmapsChanged: boolean;
}

/** The holders of a space in other threads. */
export class HolderHub {
  readonly #owner: HubOwner;
  readonly #holders = new Map<number, RemoteHolder>();
  readonly #forwarder: IoForwarder;
  #control: ControlBlock | undefined;
  #nextHolder = 1;
  /** What the next commit message says of who asked for what. */
  #proposer: RemoteHolder | undefined;

  constructor(owner: HubOwner) {
    this.#owner = owner;
    this.#forwarder = new IoForwarder(owner.host, owner.graceMilliseconds);
  }

  /**
   * Throws `not-shareable` where a region's memory can't leave this thread and a holder expects to reach all of it.
   */
  requireShareable(regions: Iterable<Region>): void {
    this.noticeAttached();
    const strict = [...this.#holders.values()].find((holder) => !holder.opaque && holder.attachedNow);
    if (strict !== undefined) requireShareable(regions, `"${strict.name}" is attached from another thread`);
  }

  /** Issues a descriptor for a thread of this process. */
  issue(options: DescriptorOptions): SpaceDescriptor {
    requireSharedArrayBuffer("passing a space to another thread");
    this.#requireReachable(options);
    const slot = new HolderSlot();
    const control = this.#controlBlock();
    const { host } = this.#owner;
    const { port1, port2 } = host.createChannel();
    // A space that somebody may attach is no reason to keep the process alive; a holder that is attached is one in its own thread.
    this.#admit(new PortLink(port1, { lifelines: host.lifelines }), options, slot);
    port1.unref?.();
    const { id, core } = this.#owner;
    return makeDescriptor(id, core.name, control, slot, port2);
  }

  /** Takes in a holder at the other end of a link. */
  admit(link: SpaceLink, options: DescriptorOptions): void {
    this.#requireReachable(options);
    this.#admit(link, options, undefined).attached(options.holder ?? "a holder over a link");
  }

  /** Whether other threads have the space. */
  get attached(): boolean {
    this.noticeAttached();
    for (const holder of this.#holders.values()) if (holder.attachedNow) return true;
    return false;
  }

  #requireReachable({ opaque = false }: DescriptorOptions): void {
    if (!opaque) requireShareable(this.#owner.core.regions.keys(), "the holder expects to reach all memory");
  }

  #controlBlock(): ControlBlock {
    this.#control ??= new ControlBlock();
    this.#control.publish(this.#owner.generation());
    return this.#control;
  }

  #admit(link: SpaceLink, options: DescriptorOptions, slot: HolderSlot | undefined): RemoteHolder {
    const { core } = this.#owner;
    const { opaque = false } = options;
    const holder = new RemoteHolder(
      this.#nextHolder++,
      link,
      slot,
      options.holder ?? `a holder of "${core.name}"`,
      opaque,
      new Openers(options),
      this.#owner,
      {
        left: (each, died) => this.#left(each, died),
        described: (each) => this.#describe(each),
        proposing: (each, body) => this.#proposing(each, body),
        io: (request) => this.forwardIo(request.address, request.size, request.value),
        ioReply: (each, reply) => this.#forwarder.reply(each, reply),
      },
    );
    this.#holders.set(holder.id, holder);
    link.open(holder);
    return holder;
  }

  /** Tells a holder that has come all there is; before it came there was nobody to keep what was described. */
  #describe(holder: RemoteHolder): void {
    const { core, id } = this.#owner;
    this.#requireReachable(holder);
    holder.post({ type: "welcome", space: id, size: core.size, holder: holder.id });
    holder.post(this.#everything());
  }

  #everything(): CommitMessage {
    const { core, logs } = this.#owner;
    return {
      type: "commit",
      generation: this.#owner.generation(),
      regions: Array.from(core.regions.keys(), (region) => regionRecord(core, region)),
      regionsGone: [],
      memories: Array.from(core.memories, memoryRecord),
      doorbells: Array.from(core.doorbells, (doorbell) => doorbellRecord(doorbell)),
      doorbellsGone: [],
      bitmaps: logs.size > 0 ? bitmapRecords(core, logs) : undefined,
    };
  }

  /** Passes a commit on to all holders, then publishes its generation. */
  publish(publication: Publication): void {
    const { applied, generation, doorbells, doorbellsGone, bitmapsChanged } = publication;
    if (this.#holders.size > 0) {
      const { core, logs } = this.#owner;
      const message: CommitMessage = {
        type: "commit",
        generation,
        regions: applied.mapped.map((region) => regionRecord(core, region, this.#proposer?.keyOf(region))),
        regionsGone: applied.unmapped.map(({ id }) => id),
        memories: applied.memoriesAdded.map(memoryRecord),
        doorbells: doorbells.map((doorbell) => doorbellRecord(doorbell, this.#proposer?.keyOf(doorbell))),
        doorbellsGone: doorbellsGone.map(({ id }) => id),
        bitmaps: bitmapsChanged ? bitmapRecords(core, logs) : undefined,
      };
      for (const holder of [...this.#holders.values()]) holder.tell(message);
    }
    this.#control?.publish(generation);
    // A descriptor taken before the generation was published counts; one taken later sees the generation and waits for it.
    this.noticeAttached();
    for (const holder of this.#holders.values()) holder.wake();
  }

  /** Counts those who took their descriptor, even where their word of it is still on the way. */
  noticeAttached(): void {
    for (const holder of this.#holders.values()) holder.notice();
  }

  /** The last local holder let go: whoever took a descriptor keeps the space, descriptors that nobody took are void. */
  settleDescriptors(): void {
    this.noticeAttached();
    if (this.#owner.references.held) return;
    for (const holder of [...this.#holders.values()]) holder.withdraw();
  }

  /** Adds the windows that other threads have open to a log. */
  gatherWindows(log: DirtyLog): void {
    for (const holder of this.#holders.values()) this.#gatherFrom(holder, log);
  }

  #gatherFrom(holder: RemoteHolder, log: DirtyLog): void {
    const memories = new Map(Array.from(this.#owner.core.memories, (memory) => [memory.id, memory]));
    const complete = holder.slot?.ledger.read((id, firstPage, endPage) => {
      const memory = memories.get(id);
      if (memory === undefined) return;
      const bitmap = log.bitmapOf(memory);
      // The words are another thread's: whatever they say, only pages that there are count.
      for (let page = Math.max(firstPage, 0); page < Math.min(endPage, bitmap.pages); page++) bitmap.mark(page);
    });
    // Too many windows for its slot; or a holder without one, in another process, whose writes no bitmap of ours sees.
    if (complete !== true) for (const memory of memories.values()) log.bitmapOf(memory).markBytes(0, memory.provider.size);
  }

  /** Brings an access to the holder whose thread has the handler. */
  forwardIo(address: number, size: 1 | 2 | 4 | 8, value: bigint | undefined): Promise<bigint | undefined> {
    const range = this.#owner.core.view.find(address);
    if (range?.io !== true || address + size > range.end) return Promise.resolve(undefined);
    if (range.handler !== undefined) return Promise.resolve(this.#owner.core.ioHere(range, address, size, value));
    const home = this.#holders.get(range.source.home);
    if (home === undefined) return Promise.resolve(undefined);
    return this.#forwarder.send(home, address, size, value);
  }

  #proposing<T>(holder: RemoteHolder, body: (transaction: Transaction) => T): T {
    this.#proposer = holder;
    try {
      return this.#owner.transaction(body).result;
    } finally {
      this.#proposer = undefined;
    }
  }

  #left(holder: RemoteHolder, died: boolean): void {
    // What it wrote through its windows is in no bitmap yet: nobody closed them.
    if (died || holder.slot === undefined) {
      for (const log of this.#owner.logs) {
        log.repair();
        this.#gatherFrom(holder, log);
      }
    }
    this.#holders.delete(holder.id);
    this.#forwarder.gone(holder);
    const { core, references } = this.#owner;
    if (references.released) return;
    const steps = holder.remains([...core.regions.keys()], [...core.doorbells]);
    if (steps.length > 0) this.#owner.forget(steps);
  }

  /** Ends all sharing: descriptors that nobody took are revoked. */
  close(): void {
    this.#control?.release();
    for (const holder of [...this.#holders.values()]) holder.revoke();
    this.#holders.clear();
  }
}

function requireShareable(regions: Iterable<Region>, why: string): void {
  for (const region of regions) {
    if (region.memory === undefined || region.memory.share() !== undefined) continue;
    throw new VirtAddressSpaceError(
      "not-shareable",
      `region "${region.name}" is backed by ${region.memory.kind} memory, which stays in its thread, but ${why}: ` +
        "map sharedMemory(size), or issue the descriptor with { opaque: true } to show it as out of reach",
      { region: region.name, kind: region.memory.kind },
    );
  }
}
