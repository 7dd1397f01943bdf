/**
 * A space in a thread that attached it: the owner's commits arrive as messages, are applied to a core of this thread, and
 * are acknowledged when nothing here uses an older view.
 *
 * @module
 */
import type { DirtyLog } from "../dirty/dirty-log.ts";
import { VirtAddressSpaceError, type VirtAddressSpaceErrorCode } from "../error/virt-address-space-error.ts";
import type { Batch, Holder } from "../holder/holder.ts";
import { References, type SpaceReference } from "../holder/references.ts";
import type { SpaceHost } from "../host/host.ts";
import { MadeDoorbell } from "../map/doorbell-maker.ts";
import type { SpaceCore } from "../map/space-core.ts";
import type { SpaceRole } from "../map/space-role.ts";
import { Transaction } from "../map/transaction.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import type { AttachOptions } from "./attach-options.ts";
import type { ControlBlock, HolderSlot } from "./control-block.ts";
import type { SpaceDescriptor } from "./descriptor.ts";
import { IoForwarder } from "./io-forwarder.ts";
import { MapMirror } from "./map-mirror.ts";
import type { Openers } from "./openers.ts";
import { ProposalWriter } from "./proposal-writer.ts";
import type { HolderMessage, OwnerMessage } from "./protocol.ts";
import type { LinkReceiver, SpaceLink } from "./space-link.ts";

/** What an attached space is made with. */
export interface AttachedSpaceParts {
  readonly link: SpaceLink;
  readonly control: ControlBlock | undefined;
  readonly slot: HolderSlot | undefined;
  readonly host: SpaceHost;
  readonly options: AttachOptions;
  readonly openers: Openers;
}

interface Proposal {
  resolve(): void;
  reject(error: Error): void;
}

/** The attached side of a space. */
export class AttachedSpace implements SpaceRole, LinkReceiver {
  readonly references: References;
  readonly owner = false;
  readonly #parts: AttachedSpaceParts;
  readonly #name: string;
  readonly #mirror: MapMirror;
  readonly #batches = new Set<Batch>();
  readonly #forwarder: IoForwarder;
  readonly #proposals = new Map<number, Proposal>();
  readonly #proposed = new ProposalWriter();
  /** Memory that commits removed while batches were open that may still use it. */
  readonly #retired: { readonly generation: number; readonly memories: readonly SpaceMemory[] }[] = [];
  /** Why the first map could not be had. */
  #refusal: Error | undefined;
  #joined = false;
  #id = "";
  #nextRequest = 1;
  #acknowledged = -1;
  #orphaned = false;
  #received: (() => void) | undefined;

  constructor(name: string, size: number, parts: AttachedSpaceParts) {
    this.#parts = parts;
    this.#name = parts.options.name ?? "a holder";
    const { onFault = () => {}, timeoutMilliseconds = 2000 } = parts.options;
    this.#mirror = new MapMirror({
      name,
      size,
      ledger: parts.slot?.ledger,
      openers: parts.openers,
      proposed: this.#proposed,
      report: (fault) => {
        // Until the map has come there is a caller who can be told; later there is only the report.
        if (fault.code === "opener-failed" && !this.#joined && fault.cause instanceof Error) this.#refusal ??= fault.cause;
        onFault(fault);
      },
      ring: (doorbell, count) => this.#post({ type: "ring", doorbell, count }),
      removeDoorbell: (doorbell) => {
        this.propose((transaction) => transaction.removeDoorbell(doorbell)).catch(this.#reportProposal);
      },
    });
    this.references = new References(
      name,
      () => {},
      () => this.#detach(),
    );
    this.#forwarder = new IoForwarder(parts.host, timeoutMilliseconds);
  }

  get core(): SpaceCore {
    return this.#mirror.core;
  }

  get id(): string {
    return this.#id;
  }

  /**
   * Opens the link and waits for the map.
   *
   * @throws {@link VirtAddressSpaceError} `not-shareable`, `attach-timeout`, `orphaned`; what an opener threw
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
    // The first commit is the map of the moment in which this holder came; waiting for a newer one might never end.
    const ready = (): boolean => this.#mirror.holder !== 0 && this.#acknowledged >= 0;
    let sure: Promise<void> | undefined;
    await new Promise<void>((resolve, reject) => {
      const give = (error?: Error): void => {
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
        if (this.#refusal !== undefined) give(this.#refusal);
        else if (this.#orphaned || control?.released === true) give(orphaned(this.core.name));
        else if (ready()) give();
      };
      sure = link.open(this);
      link.drain();
    });
    await sure;
    this.#joined = true;
  }

  message(message: unknown): void {
    try {
      this.#handle(message as OwnerMessage);
    } catch (cause) {
      this.core.report({ code: "protocol", name: this.core.name, cause });
      // A commit that could not be taken in would leave this map wrong for good.
      if ((message as OwnerMessage).type === "commit") this.closed();
    }
    this.#received?.();
  }

  #handle(message: OwnerMessage): void {
    switch (message.type) {
      case "welcome":
        this.#id = message.space;
        this.#mirror.holder = message.holder;
        this.core.size = message.size;
        break;
      case "commit":
        this.#retire(message.generation, this.#mirror.adopt(message));
        this.#acknowledge();
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
      case "refused":
        this.#refusal ??= new VirtAddressSpaceError(message.error.code as VirtAddressSpaceErrorCode, message.error.message);
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

  /** Memory that a commit removed stays while a batch is open that began before it. */
  #retire(generation: number, memories: readonly SpaceMemory[]): void {
    if (memories.length > 0) this.#retired.push({ generation, memories });
    this.#closeRetired();
  }

  #closeRetired(): void {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { view } of this.#batches) oldest = Math.min(oldest, view.generation);
    while (this.#retired.length > 0 && (this.#retired[0]?.generation ?? 0) <= oldest) {
      for (const memory of this.#retired.shift()?.memories ?? []) this.#mirror.close(memory);
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

  readonly #reportProposal = (cause: unknown): void => {
    this.core.report({ code: "protocol", name: this.#name, cause });
  };

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
      home: this.#mirror.holder,
      makeDoorbell: (spec, match) => new MadeDoorbell(spec, match),
      hasDoorbell: (doorbell) => this.core.doorbells.has(doorbell),
    });
    const { result, steps: asked } = transaction.run(body);
    const { steps, keys } = this.#proposed.write(asked, this.#mirror.numbers);
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
        if (!this.#batches.delete(batch)) return;
        this.#closeRetired();
        if (!this.references.released) this.#acknowledge();
      },
    };
    this.#batches.add(batch);
    return batch;
  }

  isCurrent(): boolean {
    return this.#parts.control?.isCurrent(this.core.view.generation) ?? true;
  }

  quiesce(): boolean {
    this.core.requireIdle();
    if (!this.#parts.link.drain()) {
      throw new VirtAddressSpaceError(
        "unsupported",
        "this link can't receive outside of the event loop: attach with { receive: receiveMessageOnPort } (Node), or return to the event loop",
      );
    }
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
    throw new VirtAddressSpaceError(
      "not-owner",
      `${what} in the thread that created "${this.core.name}", not in one that attached it: do it there`,
    );
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
    // Inside a listener of ours the commit under way comes to its end first.
    if (this.core.busy) {
      void Promise.resolve().then(() => this.#detach());
      return;
    }
    this.#retire(Number.POSITIVE_INFINITY, this.#mirror.clear());
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
