/**
 * One holder in another thread, as its owner sees it. Its messages are not trusted: what does not make sense is reported
 * once and passed over.
 *
 * @module
 */
import { type GuestAddress, gpa } from "../address/addresses.ts";
import type { Doorbell } from "../doorbell/doorbell.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { Participant } from "../holder/grace-period.ts";
import type { SpaceReference } from "../holder/references.ts";
import type { MapStep, Transaction } from "../map/transaction.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { Notifier } from "../notifier/notifier.ts";
import type { IoHandler } from "../region/io-handler.ts";
import type { Region, RegionSpec } from "../region/region.ts";
import type { HolderSlot } from "./control-block.ts";
import type { HubOwner } from "./holder-hub.ts";
import type { Openers } from "./openers.ts";
import type { HolderMessage, IoReply, IoRequest, OwnerMessage, ProposedStep } from "./protocol.ts";
import type { LinkReceiver, SpaceLink } from "./space-link.ts";

/** What a holder's words lead to. */
export interface HolderEvents {
  /** It has come: it is to be told what there is. */
  described(holder: RemoteHolder): void;
  left(holder: RemoteHolder, died: boolean): void;
  proposing<T>(holder: RemoteHolder, body: (transaction: Transaction) => T): T;
  io(request: IoRequest): Promise<bigint | undefined>;
  ioReply(holder: RemoteHolder, reply: IoReply): void;
}

/** The handler of a window whose real one lives with its holder. */
const ELSEWHERE: IoHandler = {
  read: () => 0,
  write: () => {},
};

/** A holder at the other end of a link. */
export class RemoteHolder implements LinkReceiver {
  readonly id: number;
  readonly slot: HolderSlot | undefined;
  /** Whether it accepts regions that it can't reach. */
  readonly opaque: boolean;
  readonly #link: SpaceLink;
  readonly #openers: Openers;
  readonly #owner: HubOwner;
  readonly #events: HolderEvents;
  readonly #keys = new WeakMap<Region | Doorbell, number>();
  readonly #doorbells = new WeakSet<Doorbell>();
  #name: string;
  #participant: Participant | undefined;
  #reference: SpaceReference | undefined;
  #wake: Notifier | undefined;
  /** Memory that it proposed, by its own numbers: two proposals of one memory are one memory here too. */
  readonly #memories = new Map<number, WeakRef<MemoryProvider>>();
  #described = false;
  #reported = false;

  constructor(
    id: number,
    link: SpaceLink,
    slot: HolderSlot | undefined,
    name: string,
    opaque: boolean,
    openers: Openers,
    owner: HubOwner,
    events: HolderEvents,
  ) {
    this.id = id;
    this.slot = slot;
    this.opaque = opaque;
    this.#link = link;
    this.#name = name;
    this.#openers = openers;
    this.#owner = owner;
    this.#events = events;
  }

  get name(): string {
    return this.#name;
  }

  /** Whether it took its descriptor and has not left. */
  get attachedNow(): boolean {
    return this.#participant !== undefined;
  }

  post(message: OwnerMessage): void {
    this.#link.post(message);
  }

  /** Passes a commit on to a holder that knows what it is a change of; one that can't be told has lost the space. */
  tell(message: OwnerMessage): void {
    if (!this.#described) return;
    try {
      this.post(message);
    } catch (cause) {
      this.#report(cause);
      this.post({ type: "released" });
      this.#leave(true);
    }
  }

  wake(): void {
    if (this.#participant !== undefined) this.#wake?.signal();
  }

  /** Counts the holder from the moment it took its descriptor, whether its word has arrived or not. */
  notice(): void {
    if (this.#participant === undefined && this.slot?.state === "attached") this.attached(this.#name);
  }

  /** Makes it a holder, or gives it the name it wants: nothing is freed under it from now on. */
  attached(name: string): void {
    const before = this.#reference;
    this.#reference = this.#owner.references.get(name);
    before?.put();
    this.#name = name;
    if (this.#participant === undefined) this.#participant = this.#owner.graces.join(name, -1);
    else this.#participant.name = name;
  }

  message(message: unknown): void {
    const known = message as HolderMessage;
    try {
      this.#handle(known);
    } catch (cause) {
      this.#report(cause);
    }
  }

  #handle(message: HolderMessage): void {
    switch (message.type) {
      case "attached":
        return this.#attachedBy(message);
      case "acknowledge":
        return this.#acknowledged(message.generation);
      case "detach":
        return this.#leave(false);
      case "propose":
        return this.#propose(message.request, message.steps);
      case "ring":
        return this.#ring(message.doorbell, message.count);
      case "io":
        void this.#io(message);
        return;
      case "io-reply":
        return this.#events.ioReply(this, message);
      default:
        throw new VirtAddressSpaceError("foreign-descriptor", "a message of no known type");
    }
  }

  #attachedBy({ name, wake }: Extract<HolderMessage, { type: "attached" }>): void {
    this.attached(String(name));
    if (wake !== undefined) this.#wake = this.#openers.requireNotifier(wake);
    if (this.#described) return;
    try {
      this.#events.described(this);
      this.#described = true;
    } catch (cause) {
      this.post({ type: "refused", error: describeError(cause) });
      this.#leave(false);
    }
  }

  #acknowledged(generation: number): void {
    if (this.#participant === undefined || !Number.isSafeInteger(generation)) return;
    // Nobody can acknowledge what has not been committed.
    this.#owner.graces.acknowledge(this.#participant, Math.min(generation, this.#owner.generation()));
  }

  #ring(id: number, count: number): void {
    if (!Number.isSafeInteger(count) || count < 1) return;
    for (const doorbell of this.#owner.core.doorbells) if (doorbell.id === id) doorbell.notifier.signal(count);
  }

  async #io(request: IoRequest): Promise<void> {
    const { size, address, value } = request;
    const sane = (size === 1 || size === 2 || size === 4 || size === 8) && (value === undefined || typeof value === "bigint");
    const answer = sane && Number.isSafeInteger(address) ? await this.#events.io(request) : undefined;
    this.post({ type: "io-reply", request: request.request, value: answer });
  }

  #propose(request: number, steps: readonly ProposedStep[]): void {
    let error: { code: string; message: string } | undefined;
    try {
      this.#events.proposing(this, (transaction) => this.#perform(transaction, steps));
    } catch (cause) {
      error = describeError(cause);
    }
    this.post({ type: "proposal-done", request, error });
  }

  #perform(transaction: Transaction, steps: readonly ProposedStep[]): void {
    const regions = new Map(Array.from(this.#owner.core.regions.keys(), (region) => [region.id, region]));
    const mapped = new Map<number, Region>();
    const regionOf = (id: number): Region => {
      const region = regions.get(id);
      if (region !== undefined) return region;
      throw new VirtAddressSpaceError("unknown-region", "the region is no longer mapped: another holder was first");
    };
    for (const step of steps) {
      if (step.step === "map") {
        const { key, targetKey, record } = step;
        const target = targetKey === undefined ? undefined : mapped.get(targetKey);
        const region = transaction.mapFrom(
          this.#spec(step, target ?? (record.target === undefined ? undefined : regionOf(record.target))),
          this.id,
        );
        mapped.set(key, region);
        this.#keys.set(region, key);
      } else if (step.step === "unmap") {
        transaction.unmap(regionOf(step.id));
      } else if (step.step === "move") {
        transaction.move(regionOf(step.id), gpa(step.base));
      } else if (step.step === "addDoorbell") {
        const { address, length, datamatch, notifier } = step.record;
        if (notifier === undefined)
          throw new VirtAddressSpaceError("not-shareable", "a doorbell from another thread needs a SharedNotifier");
        const doorbell = transaction.addDoorbell({
          address: gpa(address),
          length,
          notifier: this.#openers.requireNotifier(notifier),
          ...(datamatch !== undefined && { datamatch }),
        });
        this.#keys.set(doorbell, step.key);
        this.#doorbells.add(doorbell);
      } else {
        const doorbell = [...this.#owner.core.doorbells].find(({ id }) => id === step.id);
        if (doorbell !== undefined) transaction.removeDoorbell(doorbell);
      }
    }
  }

  #spec({ record, memory, known, memoryKey }: Extract<ProposedStep, { step: "map" }>, target: Region | undefined): RegionSpec {
    const { name, priority = 0, kind, size, offset = 0, readOnly = false } = record;
    const base: GuestAddress = gpa(record.base);
    if (kind === "io") return { name, base, priority, kind, size, handler: ELSEWHERE };
    if (kind === "alias") return { name, base, priority, kind, size, offset, readOnly, target: target as Region };
    return { name, base, priority, kind, size, offset, memory: this.#memory(memory, known, memoryKey) };
  }

  #memory(
    descriptor: Extract<ProposedStep, { step: "map" }>["memory"],
    known: number | undefined,
    memoryKey: number | undefined,
  ): MemoryProvider {
    for (const memory of this.#owner.core.memories) if (memory.id === known) return memory.provider;
    const before = this.#memories.get(memoryKey ?? -1)?.deref();
    if (before?.released === false) return before;
    const opened = descriptor && this.#openers.openMemory(descriptor);
    if (opened !== undefined) {
      if (memoryKey !== undefined) this.#memories.set(memoryKey, new WeakRef(opened));
      return opened;
    }
    throw new VirtAddressSpaceError("not-shareable", "a region from another thread needs shared memory: sharedMemory(size)");
  }

  /** The key under which this holder asked for something. */
  keyOf(made: Region | Doorbell): { readonly holder: number; readonly key: number } | undefined {
    const key = this.#keys.get(made);
    return key === undefined ? undefined : { holder: this.id, key };
  }

  /** What must be unmapped because this holder mapped it: with its aliases, and its doorbells. */
  remains(regions: readonly Region[], doorbells: readonly Doorbell[]): MapStep[] {
    const own = new Set(regions.filter((region) => region.home === this.id));
    let found = own.size;
    do {
      found = own.size;
      for (const region of regions) if (region.target !== undefined && own.has(region.target)) own.add(region);
    } while (own.size > found);
    return [
      ...Array.from(own, (region) => ({ step: "unmap" as const, region })),
      ...doorbells.filter((doorbell) => this.#doorbells.has(doorbell)).map((doorbell) => ({ step: "removeDoorbell" as const, doorbell })),
    ];
  }

  closed(): void {
    this.notice();
    this.#leave(this.slot?.state !== "gone");
  }

  #leave(died: boolean): void {
    this.slot?.end();
    if (this.#participant !== undefined) this.#owner.graces.leave(this.#participant, died);
    this.#participant = undefined;
    const [reference, wake] = [this.#reference, this.#wake];
    this.#reference = undefined;
    this.#wake = undefined;
    this.#link.close();
    wake?.[Symbol.dispose]();
    try {
      this.#events.left(this, died);
    } finally {
      reference?.put();
    }
  }

  /** Takes back a descriptor that nobody took; one that was taken in this moment counts as a holder. */
  withdraw(): void {
    const found = this.slot?.transit("issued", "gone");
    if (found === "attached") this.notice();
    else if (found === "issued") this.#leave(false);
  }

  /** Ends the link because the space is released: nobody is attached any more. */
  revoke(): void {
    this.post({ type: "released" });
    this.#link.close();
  }

  #report(cause: unknown): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#owner.core.report({ code: "protocol", name: this.#name, cause });
  }
}

function describeError(cause: unknown): { readonly code: string; readonly message: string } {
  const code = VirtAddressSpaceError.is(cause) ? cause.code : "invalid-argument";
  return { code, message: cause instanceof Error ? cause.message : String(cause) };
}
