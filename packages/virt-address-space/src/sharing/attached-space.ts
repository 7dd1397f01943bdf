/**
 * A space in a thread that attached it: the owner's commits arrive as messages, are applied to a core of this thread, and
 * are acknowledged when nothing here uses an older view.
 *
 * @module
 */
import type { SpaceFault } from "../access/io-dispatch.ts";
import { gpa } from "../address/addresses.ts";
import { DirtyBitmap } from "../dirty/dirty-bitmap.ts";
import type { DirtyLog } from "../dirty/dirty-log.ts";
import type { Doorbell } from "../doorbell/doorbell.ts";
import { VirtAddressSpaceError, type VirtAddressSpaceErrorCode } from "../error/virt-address-space-error.ts";
import type { Batch, Holder } from "../holder/holder.ts";
import { References, type SpaceReference } from "../holder/references.ts";
import type { SpaceHost } from "../host/host.ts";
import { makeDoorbell } from "../map/doorbell-maker.ts";
import { type NextMap, SpaceCore } from "../map/space-core.ts";
import type { SpaceRole } from "../map/space-role.ts";
import { Transaction } from "../map/transaction.ts";
import type { MemoryOpener } from "../memory/memory-descriptor.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { Notifier, NotifierOpener } from "../notifier/notifier.ts";
import { placeRegion, Region } from "../region/region.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import type { ControlBlock, HolderSlot } from "./control-block.ts";
import type { SpaceDescriptor } from "./descriptor.ts";
import { IoForwarder } from "./io-forwarder.ts";
import { ProposalWriter } from "./proposal-writer.ts";
import type { BitmapRecord, CommitMessage, DoorbellRecord, HolderMessage, MemoryRecord, OwnerMessage, RegionRecord } from "./protocol.ts";
import type { LinkReceiver, SpaceLink } from "./space-link.ts";

/** How a space is attached. */
export interface AttachOptions {
  /** What the owner calls this holder, in errors too. */
  readonly name?: string;
  /** Signalled after each commit: what wakes this thread from a blocking wait, so that it can call `quiesce`. */
  readonly wake?: Notifier;
  /** Openers for kinds of memory besides SharedArrayBuffer. */
  readonly memory?: readonly MemoryOpener[];
  /** Openers for kinds of notifiers besides {@link SharedNotifier}. */
  readonly notifiers?: readonly NotifierOpener[];
  /** Told of what plug-ins' code did wrong in this thread. */
  readonly onFault?: (fault: SpaceFault) => void;
  /** Told when the owner's thread ended without releasing the space: the map is as it was last, and nobody changes it any more. */
  readonly onOrphaned?: () => void;
  /** How long to wait for the map, milliseconds; 2000 unless given. */
  readonly timeoutMilliseconds?: number;
  /** The services of the JavaScript host; those that are there, unless given. */
  readonly host?: SpaceHost;
}

/** What an attached space is made with. */
export interface AttachedSpaceParts {
  readonly link: SpaceLink;
  readonly control: ControlBlock | undefined;
  readonly slot: HolderSlot | undefined;
  readonly host: SpaceHost;
  readonly options: AttachOptions;
  readonly openers: { readonly memory: readonly MemoryOpener[]; readonly notifiers: readonly NotifierOpener[] };
}

interface Proposal {
  resolve(): void;
  reject(error: Error): void;
}

/** The attached side of a space. */
export class AttachedSpace implements SpaceRole, LinkReceiver {
  readonly core: SpaceCore;
  readonly references: References;
  readonly owner = false;
  readonly #parts: AttachedSpaceParts;
  readonly #name: string;
  readonly #regions = new Map<number, Region>();
  readonly #doorbells = new Map<number, Doorbell>();
  readonly #memoryIds = new Map<MemoryProvider, number>();
  readonly #memories = new Map<number, MemoryProvider>();
  readonly #batches = new Set<Batch>();
  readonly #forwarder: IoForwarder;
  readonly #proposals = new Map<number, Proposal>();
  readonly #proposed = new ProposalWriter();
  readonly #ownNotifiers = new Set<Notifier>();
  #id = "";
  #holder = 0;
  #nextRequest = 1;
  #acknowledged = -1;
  #orphaned = false;
  #received: (() => void) | undefined;

  constructor(name: string, size: number, parts: AttachedSpaceParts) {
    this.#parts = parts;
    this.#name = parts.options.name ?? "a holder";
    const { onFault = () => {}, timeoutMilliseconds = 2000 } = parts.options;
    this.core = new SpaceCore({
      name,
      size,
      report: onFault,
      numberMemory: (provider) => this.#memoryIds.get(provider) ?? 0,
      ...(parts.slot !== undefined && { ledger: parts.slot.ledger }),
    });
    this.references = new References(
      name,
      () => {},
      () => this.#detach(),
    );
    this.#forwarder = new IoForwarder(parts.host, timeoutMilliseconds);
  }

  get id(): string {
    return this.#id;
  }

  /**
   * Opens the link and waits for the map.
   *
   * @throws {@link VirtAddressSpaceError} `attach-timeout`, `orphaned`
   */
  async join(): Promise<void> {
    const { link, control, host, options } = this.#parts;
    const { timeoutMilliseconds = 2000, wake } = options;
    const descriptor = wake?.share();
    if (wake !== undefined && descriptor === undefined) {
      throw new VirtAddressSpaceError(
        "not-shareable",
        "what wakes a holder must be reachable from the owner's thread: give a SharedNotifier",
      );
    }
    this.#post({ type: "attached", name: this.#name, wake: descriptor });
    const ready = (): boolean => this.#holder !== 0 && this.#acknowledged >= 0 && (control?.isCurrent(this.core.view.generation) ?? true);
    let sure: Promise<void> | undefined;
    await new Promise<void>((resolve, reject) => {
      const give = (error?: VirtAddressSpaceError): void => {
        this.#received = undefined;
        cancel();
        if (error === undefined) resolve();
        else reject(error);
      };
      const cancel = host.setTimer(timeoutMilliseconds, () =>
        give(
          new VirtAddressSpaceError(
            "attach-timeout",
            `the map of "${this.core.name}" did not arrive within ${timeoutMilliseconds} ms: does its owner's link work?`,
          ),
        ),
      );
      this.#received = () => {
        if (this.#orphaned || control?.released === true) give(orphaned(this.core.name));
        else if (ready()) give();
      };
      sure = link.open(this);
      link.drain();
    });
    await sure;
  }

  message(message: unknown): void {
    try {
      this.#handle(message as OwnerMessage);
    } catch (cause) {
      this.core.report({ code: "protocol", name: this.core.name, cause });
    }
    this.#received?.();
  }

  #handle(message: OwnerMessage): void {
    switch (message.type) {
      case "welcome":
        this.#id = message.space;
        this.#holder = message.holder;
        this.core.size = message.size;
        break;
      case "commit":
        this.#adopt(message);
        break;
      case "proposal-done":
        this.#proposalDone(message);
        break;
      case "io":
        this.#serveIo(message);
        break;
      case "io-reply":
        this.#forwarder.reply(this.#peer, message);
        break;
      case "released":
        this.closed();
        break;
    }
  }

  readonly #peer = { post: (message: HolderMessage): void => this.#post(message) };

  #post(message: HolderMessage): void {
    this.#parts.link.post(message);
  }

  #adopt(message: CommitMessage): void {
    for (const record of message.memories) this.#openMemory(record, message.regions);
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
    const next: NextMap = {
      generation: message.generation,
      regions: new Map([...bases].filter(([region]) => mapped.has(region))),
      doorbellsAdded,
      doorbellsRemoved,
    };
    const applied = this.core.apply(next, "forced");
    if (message.bitmaps !== undefined) this.#wireBitmaps(message.bitmaps);
    for (const doorbell of doorbellsRemoved) this.#closeNotifier(doorbell);
    for (const memory of applied.memoriesGone) this.#closeMemory(memory);
    this.core.tell(applied.notices);
    this.#acknowledge();
  }

  #openMemory({ id, descriptor }: MemoryRecord, regions: readonly RegionRecord[]): void {
    if (descriptor === undefined) return;
    // Memory that came from this thread is taken as it is; a clone of it would be another provider.
    const region = regions.find(({ memory, proposed }) => memory === id && proposed?.holder === this.#holder);
    const own = region?.proposed && this.#proposed.region(region.proposed.key)?.memory;
    const opener = this.#parts.openers.memory.find(({ kind }) => kind === descriptor.kind);
    const provider = own ?? opener?.open(descriptor);
    if (provider === undefined) return;
    this.#memories.set(id, provider);
    this.#memoryIds.set(provider, id);
  }

  #closeMemory(memory: SpaceMemory): void {
    this.#memories.delete(memory.id);
    this.#memoryIds.delete(memory.provider);
    memory.release();
  }

  #makeRegion(record: RegionRecord): Region {
    const own = record.proposed?.holder === this.#holder ? this.#proposed.region(record.proposed.key) : undefined;
    const region =
      own ??
      new Region({
        name: record.name,
        kind: record.kind,
        size: record.size,
        priority: record.priority,
        offset: record.offset,
        readOnly: record.readOnly,
        home: record.home,
        memory: record.memory === undefined ? undefined : this.#memories.get(record.memory),
        target: record.target === undefined ? undefined : this.#regions.get(record.target),
      });
    placeRegion(region, record.id, undefined);
    return region;
  }

  #makeDoorbell(record: DoorbellRecord): Doorbell {
    const own = record.proposed?.holder === this.#holder ? this.#proposed.notifier(record.proposed.key) : undefined;
    const descriptor = record.notifier;
    const opener = this.#parts.openers.notifiers.find(({ kind }) => kind === descriptor?.kind);
    const notifier = own ?? (descriptor && opener?.open(descriptor)) ?? this.#ownersNotifier(record.id);
    const { address, length } = record;
    const doorbell = makeDoorbell(record.id, { address: gpa(address), length, notifier }, record.datamatch, (each) => {
      if (this.#doorbells.has(each.id)) this.propose((transaction) => transaction.removeDoorbell(each)).catch(this.#reportProposal);
    });
    if (own !== undefined) this.#ownNotifiers.add(notifier);
    return doorbell;
  }

  /** A notifier that was opened here ends here; one that this thread brought is its author's. */
  #closeNotifier({ notifier }: Doorbell): void {
    if (!this.#ownNotifiers.delete(notifier)) notifier[Symbol.dispose]();
  }

  readonly #reportProposal = (cause: unknown): void => {
    this.core.report({ code: "protocol", name: this.#name, cause });
  };

  /** A notifier that works in the owner's thread alone is signalled by message. */
  #ownersNotifier(doorbell: number): Notifier {
    return {
      signal: (count = 1) => this.#post({ type: "ring", doorbell, count }),
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

  /** Tells the owner the newest generation before which nothing is used here. */
  #acknowledge(): void {
    let generation = this.core.view.generation;
    for (const { view } of this.#batches) generation = Math.min(generation, view.generation);
    if (generation === this.#acknowledged) return;
    this.#acknowledged = generation;
    this.#post({ type: "acknowledge", generation });
  }

  holders(): readonly string[] {
    return this.references.names;
  }

  transaction(): never {
    throw new VirtAddressSpaceError(
      "not-owner",
      `the map of "${this.core.name}" is changed in its owner's thread: from here use await space.propose((transaction) => ...)`,
    );
  }

  async propose<T>(body: (transaction: Transaction) => T): Promise<T> {
    this.#requireAttached();
    const transaction = new Transaction({
      size: this.core.size,
      regions: this.core.regions,
      home: this.#holder,
      makeDoorbell: (spec, match) => makeDoorbell(0, spec, match, () => {}),
      hasDoorbell: (doorbell) => this.core.doorbells.has(doorbell),
    });
    let result: T;
    let asked: ReturnType<Transaction["end"]>;
    try {
      result = body(transaction);
    } finally {
      asked = transaction.end();
    }
    const { steps, keys } = this.#proposed.write(asked.steps, this.#memoryIds);
    const request = this.#nextRequest++;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#proposals.set(request, { resolve, reject });
        this.#post({ type: "propose", request, steps });
      });
    } finally {
      this.#proposed.forget(keys);
    }
    return result;
  }

  #proposalDone({ request, error }: Extract<OwnerMessage, { type: "proposal-done" }>): void {
    const proposal = this.#proposals.get(request);
    this.#proposals.delete(request);
    if (error === undefined) proposal?.resolve();
    else proposal?.reject(new VirtAddressSpaceError(error.code as VirtAddressSpaceErrorCode, error.message));
  }

  bind(holder: Holder): SpaceReference {
    if (holder.letGo !== undefined) {
      throw new VirtAddressSpaceError(
        "not-owner",
        `"${holder.name}" can't be asked in an attached thread: open a batch() for work that awaits`,
      );
    }
    return this.references.get(holder.name);
  }

  batch(): Batch {
    this.#requireAttached();
    const batch: Batch = {
      view: this.core.view,
      [Symbol.dispose]: () => {
        if (this.#batches.delete(batch)) this.#acknowledge();
      },
    };
    this.#batches.add(batch);
    return batch;
  }

  isCurrent(): boolean {
    return this.#parts.control?.isCurrent(this.core.view.generation) ?? true;
  }

  quiesce(): boolean {
    this.#parts.link.drain();
    return this.isCurrent();
  }

  dirtyLog(): DirtyLog {
    return this.#ownersBusiness("a dirty log is started");
  }

  addDirtySource(): Disposable {
    return this.#ownersBusiness("a dirty source is added");
  }

  descriptor(): SpaceDescriptor {
    return this.#ownersBusiness("a descriptor is issued");
  }

  admit(): void {
    this.#ownersBusiness("a link is admitted");
  }

  #ownersBusiness(what: string): never {
    throw new VirtAddressSpaceError("not-owner", `${what} in the thread that created "${this.core.name}"`);
  }

  ioElsewhere(address: number, size: 1 | 2 | 4 | 8, value?: bigint): Promise<bigint | undefined> {
    if (this.#orphaned || this.references.released) return Promise.resolve(undefined);
    return this.#forwarder.send(this.#peer, address, size, value);
  }

  #serveIo({ request, address, size, value }: Extract<OwnerMessage, { type: "io" }>): void {
    const range = this.core.view.find(address);
    const here = range?.handler !== undefined && address + size <= range.end;
    this.#post({ type: "io-reply", request, value: here ? this.core.ioHere(range, address, size, value) : undefined });
  }

  closed(): void {
    if (this.#orphaned || this.references.released) return;
    this.#orphaned = true;
    this.#forwarder.gone(this.#peer);
    for (const proposal of this.#proposals.values()) proposal.reject(orphaned(this.core.name));
    this.#proposals.clear();
    this.#received?.();
    this.#parts.options.onOrphaned?.();
  }

  #requireAttached(): void {
    this.references.requireHeld();
    if (this.#orphaned) throw orphaned(this.core.name);
  }

  #detach(): void {
    const { view, doorbells } = this.core;
    const applied = this.core.apply(
      { generation: view.generation, regions: new Map(), doorbellsAdded: [], doorbellsRemoved: [...doorbells] },
      "forced",
    );
    for (const memory of applied.memoriesGone) this.#closeMemory(memory);
    for (const doorbell of this.#doorbells.values()) this.#closeNotifier(doorbell);
    this.core.tell(applied.notices);
    this.#forwarder.gone(this.#peer);
    for (const proposal of this.#proposals.values()) {
      proposal.reject(new VirtAddressSpaceError("released", `"${this.core.name}" was let go before the owner answered`));
    }
    // The word of a thread's end may overtake its last message: the slot says that it left in order.
    this.#parts.slot?.end();
    this.#post({ type: "detach" });
    this.#parts.link.close();
  }
}

function orphaned(name: string): VirtAddressSpaceError {
  return new VirtAddressSpaceError("orphaned", `the owner of "${name}" is gone: its thread ended, or it released the space`, {
    space: name,
  });
}
