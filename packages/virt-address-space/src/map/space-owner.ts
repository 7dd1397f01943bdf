/**
 * A space in its owner's thread: decides on changes, passes them on, and frees what they removed once every holder has
 * let go.
 *
 * @module
 */

import type { GuestAddress } from "../address/addresses.ts";
import { DirtyLog, type DirtySource } from "../dirty/dirty-log.ts";
import { LogKeeper } from "../dirty/log-keeper.ts";
import type { Doorbell } from "../doorbell/doorbell.ts";
import type { SpaceFault } from "../error/space-fault.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { GracePeriods, type Participant } from "../holder/grace-period.ts";
import type { Batch, Commit, Holder } from "../holder/holder.ts";
import { References, type SpaceReference } from "../holder/references.ts";
import type { SpaceHost } from "../host/host.ts";
import type { Region } from "../region/region.ts";
import type { DescriptorOptions, SpaceDescriptor } from "../sharing/descriptor.ts";
import { HolderHub } from "../sharing/holder-hub.ts";
import type { SpaceLink } from "../sharing/space-link.ts";
import { FlatView } from "../view/flat-view.ts";
import type { SpaceMemory } from "../view/space-memory.ts";
import { MadeDoorbell } from "./doorbell-maker.ts";
import { type Applied, SpaceCore } from "./space-core.ts";
import type { SpaceRole } from "./space-role.ts";
import { type Asked, type MapStep, Transaction } from "./transaction.ts";

/** How a space is made; see `VirtAddressSpace.create`. */
export interface SpaceOwnerOptions {
  readonly name: string;
  readonly size: number;
  readonly graceMilliseconds: number;
  /** The generation to go on from. */
  readonly generation: number;
  readonly host: SpaceHost;
  readonly report: (fault: SpaceFault) => void;
}

/** A holder of this thread that wants to be asked before anything is freed. */
interface AskedHolder {
  readonly holder: Holder;
  readonly participant: Participant;
}

/** The owner's side of a space. */
export class SpaceOwner implements SpaceRole {
  readonly id: string;
  readonly core: SpaceCore;
  readonly references: References;
  readonly owner = true;
  readonly #graces: GracePeriods;
  readonly #hub: HolderHub;
  readonly #asked = new Set<AskedHolder>();
  readonly #keeper: LogKeeper;
  #generation: number;
  #nextMemory = 1;
  #nextDoorbell = 1;
  #nextLog = 1;
  #inTransaction = false;
  #releaseWanted = false;

  constructor(options: SpaceOwnerOptions) {
    const { name, size, report, host } = options;
    this.#generation = options.generation;
    this.id = host.createId();
    this.core = new SpaceCore({ name, size, report, numberMemory: () => this.#nextMemory++ });
    this.core.view = new FlatView(options.generation, []);
    this.#keeper = new LogKeeper(this.core);
    this.references = new References(
      name,
      () => this.#hub.settleDescriptors(),
      () => this.#lastReferencePut(),
    );
    this.#graces = new GracePeriods(host, options.graceMilliseconds);
    this.#hub = new HolderHub({
      id: this.id,
      core: this.core,
      graces: this.#graces,
      references: this.references,
      host,
      graceMilliseconds: options.graceMilliseconds,
      logs: this.#keeper.logs,
      generation: () => this.#generation,
      transaction: (body) => this.transaction(body),
      forget: (steps) => this.#commitSteps(steps),
    });
  }

  holders(): readonly string[] {
    return this.references.names;
  }

  transaction<T>(body: (transaction: Transaction) => T): { readonly result: T; readonly commit: Commit } {
    this.references.requireHeld();
    this.core.requireIdle();
    if (this.#inTransaction) {
      throw new VirtAddressSpaceError("busy", `a transaction on "${this.core.name}" is being put together: make this change through it`);
    }
    const transaction = new Transaction({
      size: this.core.size,
      regions: this.core.regions,
      home: 0,
      makeDoorbell: (spec, match) => new MadeDoorbell(spec, match).place(this.#nextDoorbell++, (doorbell) => this.#dropDoorbell(doorbell)),
      hasDoorbell: (doorbell) => this.core.doorbells.has(doorbell),
    });
    this.#inTransaction = true;
    let asked: Asked<T>;
    try {
      asked = transaction.run(body);
    } finally {
      this.#inTransaction = false;
    }
    return { result: asked.result, commit: this.#commit(asked.regions, asked.steps) };
  }

  async propose<T>(body: (transaction: Transaction) => T): Promise<T> {
    return this.transaction(body).result;
  }

  #dropDoorbell(doorbell: Doorbell): void {
    this.#whenIdle(() => {
      if (this.references.released || !this.core.doorbells.has(doorbell)) return;
      this.#commit(this.core.regions, [{ step: "removeDoorbell", doorbell }], "forced");
    });
  }

  /** Commits steps that were not made by a transaction: those that clean up after a holder. */
  #commitSteps(steps: readonly MapStep[]): void {
    const regions = new Map(this.core.regions);
    for (const step of steps) if (step.step === "unmap") regions.delete(step.region);
    this.#commit(regions, steps, "forced");
  }

  #commit(regions: ReadonlyMap<Region, GuestAddress>, steps: readonly MapStep[], mode: "atomic" | "forced" = "atomic"): Commit {
    // The body of the transaction may have put the last reference.
    this.references.requireHeld();
    if (steps.length === 0) return this.#commitOf(this.#generation, () => Promise.resolve());
    const added = new Set<Doorbell>();
    const removed: Doorbell[] = [];
    for (const step of steps) {
      if (step.step === "addDoorbell") added.add(step.doorbell);
      else if (step.step === "removeDoorbell" && !added.delete(step.doorbell)) removed.push(step.doorbell);
    }
    this.#hub.requireShareable(regions.keys());
    const applied = this.core.apply(
      { generation: this.#generation + 1, regions, doorbellsAdded: [...added], doorbellsRemoved: removed },
      mode,
    );
    return this.#committed(applied, [...added], removed);
  }

  /** What follows once the map has changed: bitmaps, other threads, the grace period, word to windows' holders. */
  #committed(applied: Applied, doorbells: readonly Doorbell[] = [], doorbellsGone: readonly Doorbell[] = [], logsChanged = false): Commit {
    const generation = ++this.#generation;
    this.#keeper.markNew(applied.memoriesAdded, applied.shown);
    const bitmapsChanged = logsChanged || (this.#keeper.logs.size > 0 && applied.memoriesAdded.length > 0);
    if (bitmapsChanged) this.#keeper.wire();
    this.#hub.publish({ applied, generation, doorbells, doorbellsGone, bitmapsChanged });
    const period = this.#graces.begin(generation, () => {
      for (const memory of applied.memoriesGone) this.#free(memory);
    });
    for (const { holder, participant } of [...this.#asked]) void this.#ask(holder, participant, generation);
    this.core.tell(applied.notices);
    return this.#commitOf(generation, () => period.settled);
  }

  #commitOf(generation: number, settled: () => Promise<void>): Commit {
    // A promise that nobody asks for must not count as an unhandled rejection.
    return {
      generation,
      get settled(): Promise<void> {
        return settled();
      },
    };
  }

  #free(memory: SpaceMemory): void {
    if (this.core.retire(memory)) this.#keeper.forget(memory);
  }

  async #ask(holder: Holder, participant: Participant, generation: number): Promise<void> {
    try {
      await holder.letGo?.(this.core.view);
      this.#graces.acknowledge(participant, generation);
    } catch (cause) {
      // It has not let go, so nothing is freed under it; the grace period will name it.
      this.core.report({ code: "holder-failed", name: holder.name, cause });
    }
  }

  bind(holder: Holder): SpaceReference {
    this.references.requireHeld();
    if (holder.letGo === undefined) return this.references.get(holder.name);
    const asked = { holder, participant: this.#graces.join(holder.name, this.#generation) };
    this.#asked.add(asked);
    return this.references.get(holder.name, () => {
      this.#asked.delete(asked);
      this.#graces.leave(asked.participant, false);
    });
  }

  batch(): Batch {
    this.references.requireHeld();
    const participant = this.#graces.join(`an open batch of "${this.core.name}"`, this.#generation);
    return { view: this.core.view, [Symbol.dispose]: () => this.#graces.leave(participant, false) };
  }

  isCurrent(): boolean {
    return true;
  }

  quiesce(): boolean {
    return true;
  }

  dirtyLog(name: string): DirtyLog {
    this.references.requireHeld();
    this.core.requireIdle();
    let commit: Commit;
    const log: DirtyLog = new DirtyLog(
      this.#nextLog++,
      name,
      {
        gather: (each) => {
          this.#keeper.gather(each);
          this.#hub.gatherWindows(each);
        },
        shared: () => this.#hub.attached,
        view: () => this.core.view,
        stop: (each) => this.#whenIdle(() => this.#stopLog(each)),
      },
      () => commit.settled,
    );
    this.core.setLogging(true);
    this.#keeper.add(log);
    try {
      commit = this.#logsChanged("atomic");
    } catch (error) {
      this.#stopLog(log);
      throw error;
    }
    return log;
  }

  /** Stops a log in any case: a listener that refuses is dropped, since nobody could go on logging for it. */
  #stopLog(log: DirtyLog): void {
    const { logs } = this.#keeper;
    if (!logs.delete(log) || this.references.released) return;
    if (logs.size === 0) this.core.setLogging(false);
    this.#logsChanged("forced");
  }

  /** A change of the logs is a commit of the same map: every thread must hear of it, and `ready` waits for that. */
  #logsChanged(mode: "atomic" | "forced"): Commit {
    const applied = this.core.apply(
      { generation: this.#generation + 1, regions: this.core.regions, doorbellsAdded: [], doorbellsRemoved: [] },
      mode,
    );
    return this.#committed(applied, [], [], true);
  }

  /** Disposing must work anywhere: inside a listener or a transaction it takes effect when that is over. */
  #whenIdle(task: () => void): void {
    if (!this.core.busy && !this.#inTransaction) task();
    else void Promise.resolve().then(task);
  }

  addDirtySource(source: DirtySource): Disposable {
    this.references.requireHeld();
    return this.#keeper.addSource(source);
  }

  descriptor(options: DescriptorOptions): SpaceDescriptor {
    this.references.requireHeld();
    this.core.requireIdle();
    return this.#hub.issue(options);
  }

  admit(link: SpaceLink, options: DescriptorOptions): void {
    this.references.requireHeld();
    this.core.requireIdle();
    this.#hub.admit(link, options);
  }

  ioElsewhere(address: number, size: 1 | 2 | 4 | 8, value?: bigint): Promise<bigint | undefined> {
    return this.#hub.forwardIo(address, size, value);
  }

  #lastReferencePut(): void {
    if (!this.core.busy) {
      this.#release();
    } else if (!this.#releaseWanted) {
      // The last holder let go inside a listener: the commit under way comes to its end first.
      this.#releaseWanted = true;
      void Promise.resolve().then(() => this.#release());
    }
  }

  #release(): void {
    const applied = this.core.apply(
      { generation: ++this.#generation, regions: new Map(), doorbellsAdded: [], doorbellsRemoved: [...this.core.doorbells] },
      "forced",
    );
    const period = this.#graces.begin(this.#generation, () => {
      for (const memory of applied.memoriesGone) this.#free(memory);
    });
    for (const { holder, participant } of [...this.#asked]) void this.#ask(holder, participant, this.#generation);
    this.#hub.close();
    this.core.tell(applied.notices);
    period.settled.catch((cause: unknown) => this.core.report({ code: "holder-failed", name: this.core.name, cause }));
  }
}
