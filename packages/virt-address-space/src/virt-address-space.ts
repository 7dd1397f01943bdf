/**
 * The neutral object: a guest's address space, created without a hypervisor, populated, passed and bound.
 *
 * It knows no hypervisor and no device. A hypervisor listens to it and turns its ranges into memslots; a device reads and
 * writes it, opens windows and waits for doorbells; neither knows the other.
 *
 * @module
 */
import { AccessFault } from "./access/access-fault.ts";
import type { GuestRange } from "./access/copy-access.ts";
import { MemoryAccess } from "./access/memory-access.ts";
import { type GuestAddress, MAX_ADDRESS, requireAddress, requireLength } from "./address/addresses.ts";
import type { DirtyLog, DirtySource } from "./dirty/dirty-log.ts";
import type { Doorbell, DoorbellSpec } from "./doorbell/doorbell.ts";
import type { SpaceFault } from "./error/space-fault.ts";
import { VirtAddressSpaceError } from "./error/virt-address-space-error.ts";
import type { Batch, Commit, Holder } from "./holder/holder.ts";
import type { SpaceReference } from "./holder/references.ts";
import { defaultHost, type SpaceHost } from "./host/host.ts";
import type { AddressSpaceListener } from "./listener/address-space-listener.ts";
import { SpaceOwner } from "./map/space-owner.ts";
import type { SpaceRole } from "./map/space-role.ts";
import type { Transaction } from "./map/transaction.ts";
import type { Region, RegionSpec } from "./region/region.ts";
import type { AttachOptions } from "./sharing/attach-options.ts";
import { AttachedSpace, type AttachedSpaceParts } from "./sharing/attached-space.ts";
import { type DescriptorOptions, type SpaceDescriptor, takeDescriptor } from "./sharing/descriptor.ts";
import { Openers } from "./sharing/openers.ts";
import { PortLink, type SpaceLink, type SynchronousReceive } from "./sharing/space-link.ts";
import {
  isThreadDescriptor,
  makeThreadDescriptor,
  type ThreadDescriptor,
  type ThreadDescriptorOptions,
  takeThreadDescriptor,
} from "./sharing/thread-descriptor.ts";
import { loadState, type RestoreParts, readState } from "./state/restore.ts";
import { save } from "./state/save.ts";
import { damaged } from "./state/state-format.ts";
import type { StateSource } from "./state/state-reader.ts";
import type { FlatRange } from "./view/flat-range.ts";
import type { FlatView } from "./view/flat-view.ts";
import type { Sgmap } from "./window/sgmap.ts";
import type { Vmap, VmapOptions } from "./window/vmap.ts";

/** How a space is made. */
export interface SpaceOptions {
  /** For people: errors and maps show it. */
  readonly name: string;
  /** Bytes of addresses: 2^52 unless given; 0x10000 for x86 port I/O. */
  readonly size?: number;
  /** How long an unmap waits for holders to let go before it fails with their names, milliseconds; 2000 unless given. */
  readonly graceMilliseconds?: number;
  /** Told, once per culprit, of what a plug-in's code did wrong while a guest's access or a commit was served. */
  readonly onFault?: (fault: SpaceFault) => void;
  /** Replaces the timer and the message channel of the JavaScript host. */
  readonly host?: SpaceHost;
}

/** How a saved space is restored. */
export interface RestoreOptions extends RestoreParts, Omit<SpaceOptions, "name" | "size"> {
  /** The name it had unless given. */
  readonly name?: string;
}

/** How a space is attached over a descriptor. */
export interface AttachDescriptorOptions extends AttachOptions {
  /** Node's `receiveMessageOnPort`: lets `quiesce()` hear of commits in a thread that never returns to its event loop. */
  readonly receive?: SynchronousReceive;
}

/**
 * A guest's address space. `create` makes one, `attach` reaches one that another thread made; either is used the same way,
 * and only the creator's thread changes the map by itself (others {@link VirtAddressSpace.propose}).
 *
 * Reading and writing by address is inherited from {@link MemoryAccess}.
 *
 * @example
 * ```ts
 * import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
 * using space = VirtAddressSpace.create({ name: "guest" });
 * space.map({ name: "ram", base: gpa(0), memory: sharedMemory(64 * MiB) });
 * using ring = space.vmap(gpa(0x1000), 4096);
 * ring.u32[0] = 42;
 * const left = space.copyTo(gpa(0x2000), new Uint8Array([1, 2, 3])); // bytes not copied: 0
 * ```
 */
export class VirtAddressSpace extends MemoryAccess implements Disposable {
  readonly #role: SpaceRole;
  readonly #own: SpaceReference;

  private constructor(role: SpaceRole, holder: string) {
    super(role.core);
    this.#role = role;
    this.#own = role.references.get(holder);
  }

  /**
   * Creates an empty space.
   *
   * @throws {@link VirtAddressSpaceError} `invalid-argument`, `invalid-length`
   */
  static create(options: SpaceOptions): VirtAddressSpace {
    return VirtAddressSpace.#create(options, 0);
  }

  static #create(options: SpaceOptions, generation: number): VirtAddressSpace {
    const { name, size = MAX_ADDRESS + 1, graceMilliseconds = 2000, onFault = () => {}, host = defaultHost } = options ?? {};
    if (typeof name !== "string" || name === "") {
      throw new VirtAddressSpaceError("invalid-argument", "a space needs a name: errors and maps show it");
    }
    requireLength(size, 1, "the size of a space");
    requireLength(graceMilliseconds, 1, "the grace time (in milliseconds, not bytes)");
    return new VirtAddressSpace(new SpaceOwner({ name, size, graceMilliseconds, host, generation, report: onFault }), "its creator");
  }

  /**
   * Attaches a space that was described, by another thread as a rule. The space is the same: later changes of its map reach
   * this one, and what is unmapped there stays allocated until this thread has let go.
   *
   * A descriptor with the scope `thread` gives a further hold on what its thread has. Of the options only the name means something
   * then: nothing is opened, and nobody goes away.
   *
   * @throws {@link VirtAddressSpaceError} `foreign-descriptor`, `descriptor-version`, `already-attached`,
   *   `stale-descriptor`, `released`, `not-shareable`, `attach-timeout`, `orphaned`; what an opener of memory threw
   */
  static async attach(descriptor: SpaceDescriptor | ThreadDescriptor, options: AttachDescriptorOptions = {}): Promise<VirtAddressSpace> {
    if (isThreadDescriptor(descriptor)) {
      const { role, holder } = takeThreadDescriptor(descriptor);
      return new VirtAddressSpace(role, options.name ?? holder ?? "a holder");
    }
    const { control, slot } = takeDescriptor(descriptor);
    const { receive, host = defaultHost } = options;
    const link = new PortLink(descriptor.port, { receive, lifelines: host.lifelines });
    return VirtAddressSpace.#join(descriptor.name, { link, control, slot }, options);
  }

  /**
   * Attaches a space over a link to its owner, who calls {@link admit} on the other end.
   *
   * @throws {@link VirtAddressSpaceError} `not-shareable`, `attach-timeout`, `orphaned`; what an opener of memory threw
   */
  static join(name: string, link: SpaceLink, options: AttachOptions = {}): Promise<VirtAddressSpace> {
    return VirtAddressSpace.#join(name, { link, control: undefined, slot: undefined }, options);
  }

  static async #join(
    name: string,
    line: Pick<AttachedSpaceParts, "link" | "control" | "slot">,
    options: AttachOptions,
  ): Promise<VirtAddressSpace> {
    const role = new AttachedSpace(name, MAX_ADDRESS + 1, {
      ...line,
      host: options.host ?? defaultHost,
      options,
      openers: new Openers(options),
    });
    const space = new VirtAddressSpace(role, options.name ?? "a holder");
    try {
      await role.join();
      return space;
    } catch (error) {
      space[Symbol.dispose]();
      line.slot?.end();
      throw error;
    }
  }

  /**
   * Makes a space from a saved one: the same regions at the same addresses, the same bytes, the same generation. Windows
   * and doorbells belong to devices, which open them again.
   *
   * @param source - what {@link save} yielded, in chunks of any size
   * @throws {@link VirtAddressSpaceError} `damaged-state` (truncated, altered or senseless), `state-version`,
   *   `missing-memory`, `missing-handler`; all that was made on the way has been released
   */
  static async restore(source: StateSource, options: RestoreOptions): Promise<VirtAddressSpace> {
    const parts = await readState(source, options);
    const { name, size, generation } = parts.map;
    const space = VirtAddressSpace.#create(
      { ...options, name: options.name ?? name, size },
      parts.map.regions.length > 0 ? Math.max(generation - 1, 0) : generation,
    );
    try {
      space.transaction((transaction) => parts.populate(transaction));
      return space;
    } catch (error) {
      space[Symbol.dispose]();
      throw VirtAddressSpaceError.is(error, "overlap") ? damaged(error.message) : error;
    } finally {
      parts.release();
    }
  }

  /** For people. */
  get name(): string {
    return this.#role.core.name;
  }

  /** The space's identity within its process: the same in every thread that attached it. */
  get id(): string {
    return this.#role.id;
  }

  /** Bytes of addresses. */
  get size(): number {
    return this.#role.core.size;
  }

  /** Whether this is the thread that created the space and changes its map. */
  get owned(): boolean {
    return this.#role.owner;
  }

  /** Whether the last holder has let go: nothing is mapped any more, and nothing can be. */
  get released(): boolean {
    return this.#role.references.released;
  }

  /** The names of those who hold the space, as far as this thread knows: one for each reference. */
  get holders(): readonly string[] {
    return this.#role.holders();
  }

  /** The regions, in the order in which they were mapped. */
  get regions(): readonly Region[] {
    return [...this.#role.core.regions.keys()];
  }

  /** The doorbells. */
  get doorbells(): readonly Doorbell[] {
    return [...this.#role.core.doorbells];
  }

  /** The map as it is now: immutable, to be taken once a batch. */
  view(): FlatView {
    return this.#role.core.view;
  }

  /**
   * The range that shows at an address.
   *
   * @throws {@link VirtAddressSpaceError} `invalid-address`
   */
  lookup(address: GuestAddress): FlatRange | undefined {
    return this.#role.core.view.lookup(address);
  }

  /** A further reader and writer, with a cache of its own: one for each queue, say. */
  access(): MemoryAccess {
    return new MemoryAccess(this.#role.core);
  }

  /**
   * Maps a region.
   *
   * @throws {@link VirtAddressSpaceError} as {@link Transaction.map}; `overlap`, `listener-failed`, `busy`, `released`,
   *   `not-owner`, `not-shareable` (while another thread is attached)
   */
  map(spec: RegionSpec): Region {
    return this.#role.transaction((transaction) => transaction.map(spec)).result;
  }

  /**
   * Unmaps a region: for readers at once. The promise resolves when every holder has let go of the old view, which is when
   * the memory has been released.
   *
   * @throws {@link VirtAddressSpaceError} `unknown-region`, `in-use`, `listener-failed`, `busy`, `released`, `not-owner`;
   *   the promise rejects with `holder-unresponsive`, `holder-died`
   */
  unmap(region: Region): Promise<void> {
    const { settled } = this.#role.transaction((transaction) => transaction.unmap(region)).commit;
    // Whoever does not wait for it need not hear of it: the change stands in any case.
    settled.catch(() => {});
    return settled;
  }

  /**
   * Moves a region.
   *
   * @throws {@link VirtAddressSpaceError} as {@link Transaction.move}; `overlap`, `listener-failed`, `busy`, `released`,
   *   `not-owner`
   */
  move(region: Region, base: GuestAddress): Commit {
    return this.#role.transaction((transaction) => transaction.move(region, base)).commit;
  }

  /**
   * Makes several changes as one: listeners and readers see all of them or none. What the body throws undoes it all.
   *
   * @throws {@link VirtAddressSpaceError} `overlap`, `duplicate-doorbell`, `listener-failed`, `busy`, `released`,
   *   `not-owner`, `not-shareable`
   */
  transaction(body: (transaction: Transaction) => void): Commit {
    return this.#role.transaction(body).commit;
  }

  /**
   * Makes changes from any thread: the owner's thread performs them in the order in which they arrive, each as one
   * transaction. A handler of an I/O window that is mapped this way stays in this thread; what was mapped this way is
   * unmapped when this holder is gone.
   *
   * @returns what the body returned, once the change is made and seen here
   * @throws {@link VirtAddressSpaceError} as {@link transaction} does in the owner's thread, and `orphaned`
   */
  propose<T>(body: (transaction: Transaction) => T): Promise<T> {
    return this.#role.propose(body);
  }

  /**
   * Adds a doorbell; disposing it removes it.
   *
   * @throws {@link VirtAddressSpaceError} as {@link Transaction.addDoorbell}; `duplicate-doorbell`, `listener-failed`,
   *   `busy`, `released`, `not-owner`
   */
  addDoorbell(spec: DoorbellSpec): Doorbell {
    return this.#role.transaction((transaction) => transaction.addDoorbell(spec)).result;
  }

  /**
   * Adds a listener, after telling it the whole map; disposing what is returned tells it that everything is gone.
   *
   * @throws {@link VirtAddressSpaceError} `listener-failed` where it throws at once, `busy`, `released`
   */
  listen(listener: AddressSpaceListener): Disposable {
    this.#role.references.requireHeld();
    return this.#role.core.listen(listener);
  }

  /**
   * Opens a window on memory, within one region.
   *
   * @param length - bytes
   * @throws {@link VirtAddressSpaceError} `invalid-address`, `invalid-length`, `released`; `unmapped`, `crosses-region`,
   *   `read-only`, `not-memory`, `elsewhere`, `gone`, `empty`: where a guest chose the address, use {@link tryVmap}
   */
  vmap(address: GuestAddress, length: number, options: VmapOptions = {}): Vmap {
    return expected(this.tryVmap(address, length, options));
  }

  /** As {@link vmap}, with a refusal as a value. */
  tryVmap(address: GuestAddress, length: number, options: VmapOptions = {}): Vmap | AccessFault {
    this.#role.references.requireHeld();
    const { core } = this.#role;
    return core.windows.open(core.view, address, length, options);
  }

  /**
   * Opens windows on a scatter-gather list: all or none. Entries may span regions.
   *
   * @throws {@link VirtAddressSpaceError} as {@link vmap}, but for `crosses-region` and `empty`
   */
  sgmap(list: readonly GuestRange[], options: VmapOptions = {}): Sgmap {
    return expected(this.trySgmap(list, options));
  }

  /** As {@link sgmap}, with a refusal as a value. */
  trySgmap(list: readonly GuestRange[], options: VmapOptions = {}): Sgmap | AccessFault {
    this.#role.references.requireHeld();
    const { core } = this.#role;
    return core.windows.openList(core.view, list, options);
  }

  /**
   * Starts a dirty log.
   *
   * @param name - the client, for people
   * @throws {@link VirtAddressSpaceError} `listener-failed`, `busy`, `released`, `not-owner`
   */
  dirtyLog(name: string): DirtyLog {
    return this.#role.dirtyLog(name);
  }

  /**
   * Adds somebody who sees writes that don't go through the space; asked at every harvest of every log.
   *
   * @throws {@link VirtAddressSpaceError} `released`, `not-owner`
   */
  addDirtySource(source: DirtySource): Disposable {
    return this.#role.addDirtySource(source);
  }

  /**
   * The space as a value for another thread: `worker.postMessage(descriptor, descriptor.transfer)`. Good for one attach.
   *
   * @throws {@link VirtAddressSpaceError} `not-shareable`, `unsupported` (no SharedArrayBuffer), `busy`, `released`,
   *   `not-owner`
   */
  descriptor(options?: DescriptorOptions): SpaceDescriptor;
  /**
   * The space as a value for somebody in this thread, whatever its memory is. Good for one attach.
   *
   * @throws {@link VirtAddressSpaceError} `released`
   */
  descriptor(options: ThreadDescriptorOptions): ThreadDescriptor;
  descriptor(options: DescriptorOptions | ThreadDescriptorOptions = {}): SpaceDescriptor | ThreadDescriptor {
    return options.scope === "thread" ? makeThreadDescriptor(this.#role, options.holder) : this.#role.descriptor(options);
  }

  /**
   * Takes in a holder at the other end of a link, who calls {@link VirtAddressSpace.join}.
   *
   * @throws {@link VirtAddressSpaceError} `not-shareable`, `busy`, `released`, `not-owner`
   */
  admit(link: SpaceLink, options: DescriptorOptions = {}): void {
    this.#role.admit(link, options);
  }

  /**
   * Saves the map and all bytes that are not zero, chunk by chunk as it is asked for: pages of zeros cost nothing. Each
   * chunk is consistent in itself; for a whole that is, pause whoever writes.
   *
   * @throws {@link VirtAddressSpaceError} `elsewhere` in an attached thread that does not reach all memory, `gone`; the first
   *   chunk throws `released` where the space was let go meanwhile
   */
  save(): Generator<Uint8Array, void> {
    const { core, references } = this.#role;
    references.requireHeld();
    const chunks = function* (): Generator<Uint8Array, void> {
      references.requireHeld();
      yield* save(core);
    };
    return chunks();
  }

  /**
   * Reads saved bytes back into this space, whose map must be the one that was saved. Nothing changes unless the source is
   * intact to its end. Windows stay bound and see the restored bytes.
   *
   * @throws {@link VirtAddressSpaceError} `damaged-state`, `state-version`, `state-mismatch`, `gone`, `released`
   */
  async load(source: StateSource): Promise<void> {
    this.#role.references.requireHeld();
    await loadState(source, this.#role.core);
  }

  /**
   * Binds a holder of this thread: the space stays until it lets go.
   *
   * @throws {@link VirtAddressSpaceError} `released`; `not-owner` for a holder with `letGo` in an attached thread
   */
  bind(holder: Holder): SpaceReference {
    return this.#role.bind(holder);
  }

  /**
   * Begins a stretch of work that awaits and uses one view throughout.
   *
   * @throws {@link VirtAddressSpaceError} `released`, `orphaned`
   */
  batch(): Batch {
    return this.#role.batch();
  }

  /** Whether {@link view} is the newest map: one atomic load, for loops that never return to their event loop. */
  get current(): boolean {
    return this.#role.isCurrent();
  }

  /**
   * A quiescent point of a thread that never returns to its event loop: takes in what has been committed, lets go of what
   * came before. Needs a link that can receive synchronously (`attach(..., { receive: receiveMessageOnPort })`).
   *
   * @returns whether the map is the newest now
   */
  quiesce(): boolean {
    return this.#role.quiesce();
  }

  /**
   * Reads from an I/O window wherever its handler lives.
   *
   * @returns undefined where no window took the access, or its thread did not answer in the grace time
   * @throws {@link VirtAddressSpaceError} `invalid-address`
   */
  async ioRead(address: GuestAddress, size: 1 | 2 | 4 | 8): Promise<bigint | undefined> {
    return this.#io(address, size, undefined);
  }

  /**
   * Writes to an I/O window wherever its handler lives, or rings.
   *
   * @returns whether somebody took it
   * @throws {@link VirtAddressSpaceError} `invalid-address`, `invalid-argument`
   */
  async ioWrite(address: GuestAddress, size: 1 | 2 | 4 | 8, value: number | bigint): Promise<boolean> {
    const { core } = this.#role;
    requireAddress(address);
    if (typeof value !== "bigint" && !Number.isSafeInteger(value)) {
      throw new VirtAddressSpaceError("invalid-argument", `${value} can't be written to a register: give a whole number`, { value });
    }
    const written = BigInt.asUintN(8 * size, BigInt(value));
    // RAM has no doorbells: no hypervisor would see the write.
    if (core.view.find(address)?.writable === true) return false;
    if (core.io.ring(address, size, Number(written & 0xffff_ffffn), Number(written >> 32n))) return true;
    return (await this.#io(address, size, written)) !== undefined;
  }

  #io(address: GuestAddress, size: 1 | 2 | 4 | 8, value: bigint | undefined): Promise<bigint | undefined> {
    requireAddress(address);
    const { core } = this.#role;
    const range = core.view.find(address);
    if (range?.io !== true || address + size > range.end) return Promise.resolve(undefined);
    if (range.handler !== undefined) return Promise.resolve(core.ioHere(range, address, size, value));
    return this.#role.ioElsewhere(address, size, value);
  }

  /** Lets go of the reference that `create` or `attach` gave. Idempotent. */
  [Symbol.dispose](): void {
    this.#own.put();
  }
}

function expected<T extends Vmap | Sgmap>(outcome: T | AccessFault): T {
  if (outcome instanceof AccessFault) throw outcome.toError();
  return outcome;
}
