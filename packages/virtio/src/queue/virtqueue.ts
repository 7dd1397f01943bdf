/**
 * A queue as a device sees it, whatever its layout: take a buffer, give it back, let the driver know.
 *
 * The queue validates and keeps count; it does not know what the bytes mean. A fault of the driver retires it.
 *
 * @module
 */
import type { GuestAddress, MemoryAccess, VirtAddressSpace } from "@virtspace/virt-address-space";
import { VirtioError } from "../error/virtio-error.ts";
import type { FeatureSet } from "../feature/feature-set.ts";
import { VirtioFeature } from "../feature/virtio-feature.ts";
import { defaultVirtioHost, type VirtioHost } from "../host/host.ts";
import { Chain, type ChainOwner } from "./chain.ts";
import { ChainWalker } from "./chain-walker.ts";
import { addPieces, describe } from "./in-flight-buffer.ts";
import { InterruptModerator } from "./interrupt-moderator.ts";
import { requirePollTime } from "./poll-time.ts";
import type { QueueConfig } from "./queue-config.ts";
import type { QueueJournal } from "./queue-journal.ts";
import { type ChainHandler, QueueServer, type ServeOptions } from "./queue-server.ts";
import type { InFlightBuffer, JournalledBuffer, QueueState } from "./queue-state.ts";
import type { RingFault, RingFaultCode } from "./ring-fault.ts";

/** What a queue needs of whoever runs it. */
export interface QueueOwner {
  /** Where the rings and the buffers are. */
  readonly space: VirtAddressSpace;
  /** Interrupts the driver. */
  interrupt(queue: number): void;
  /** The driver broke the queue: it is retired. */
  faulted?(fault: RingFault): void;
  /** The device's handler threw. */
  failed?(queue: number, cause: unknown): void;
  /** The services of the host; those that are there, unless given. */
  readonly host?: VirtioHost;
  /** How long a queue that is served looks for more after a buffer before it waits for a notification, microseconds; 0 unless given. */
  readonly pollMicroseconds?: number;
}

/** What a queue has done. */
export interface QueueCounters {
  /** Notifications by the driver. */
  kicks: number;
  /** Buffers taken. */
  chains: number;
  /** Buffers given back. */
  used: number;
  /** Interrupts sent. */
  interrupts: number;
}

/** Buffers of one turn, unless a device asks for another number. */
const BUDGET = 256;

/** A running queue; {@link openVirtqueue} makes one. */
export abstract class Virtqueue {
  /** The queue's number. */
  readonly index: number;
  /** Descriptors. */
  readonly size: number;
  /** What was negotiated. */
  readonly features: FeatureSet;
  /** Where the rings and the buffers are. */
  readonly space: VirtAddressSpace;
  /** Where its rings are: of a split queue the table, the available and the used ring; of a packed one the ring and two suppressions. */
  readonly rings: Readonly<Record<"descriptors" | "driver" | "device", GuestAddress>>;
  /** What the queue has done. */
  readonly counters: QueueCounters = { kicks: 0, chains: 0, used: 0, interrupts: 0 };
  /** @internal */
  protected readonly walker: ChainWalker;
  /** @internal */
  protected readonly eventIdx: boolean;
  /** @internal */
  protected readonly indirect: boolean;
  /** @internal */
  protected readonly journal: QueueJournal | undefined;
  readonly #inOrder: boolean;
  readonly #owner: QueueOwner;
  readonly #access: MemoryAccess;
  readonly #chainOwner: ChainOwner;
  /** Where buffers are given back in the order in which they were taken: those that the device has. */
  readonly #order: Chain[] = [];
  #sequence = 0;
  #again: (InFlightBuffer | JournalledBuffer)[];
  #fault: RingFault | undefined;
  #stopped = false;
  #stale = false;
  /** Where it stood when it was stopped. */
  #state: QueueState | undefined;
  readonly #server: QueueServer;
  readonly #moderator: InterruptModerator;
  /** Used buffers that a flush has shown. */
  #flushed = 0;
  #listener: (() => void) | undefined;

  /** @internal */
  constructor(config: QueueConfig, owner: QueueOwner) {
    const { index, size, features, state, descriptors, driver, device } = config;
    this.index = index;
    this.rings = { descriptors, driver, device };
    this.size = size;
    this.features = features;
    this.space = owner.space;
    this.eventIdx = features.has(VirtioFeature.RingEventIdx);
    this.indirect = features.has(VirtioFeature.RingIndirectDesc);
    this.journal = config.journal;
    this.#inOrder = features.has(VirtioFeature.InOrder);
    this.#owner = owner;
    const { host = defaultVirtioHost, pollMicroseconds = 0 } = owner;
    this.#server = new QueueServer(this, host, requirePollTime(pollMicroseconds), (cause) => owner.failed?.(index, cause));
    this.#moderator = new InterruptModerator(host, () => this.#interrupt());
    this.#access = owner.space.access();
    this.walker = new ChainWalker(this.#access, size);
    this.#again = [...(state?.inFlight ?? [])];
    this.#chainOwner = { batch: () => this.space.batch(), push: (chain, written) => this.push(chain, written) };
  }

  /** Why the driver lost the queue; undefined while all is well. */
  get fault(): RingFault | undefined {
    return this.#fault;
  }

  /** Whether a buffer was given back that no {@link flush} has shown. */
  get unshown(): boolean {
    return this.counters.used !== this.#flushed;
  }

  /** Whether the queue neither was stopped nor lost. */
  get running(): boolean {
    return !this.#stopped && this.#fault === undefined;
  }

  /** Buffers that the device has. */
  get inFlight(): number {
    return this.#taken().length;
  }

  /** What the device has, in the order in which it was taken. */
  #taken(): Chain[] {
    const taken: Chain[] = [];
    for (const chain of this.known()) if (chain.taken) taken.push(chain);
    return taken.sort((a, b) => a.sequence - b.sequence);
  }

  /**
   * Takes the next buffer.
   *
   * @returns undefined where there is none, or the queue is stopped or lost
   */
  pop(): Chain | undefined {
    if (!this.#usable()) return undefined;
    if (this.#again.length > 0) {
      const chain = this.#popAgain();
      if (chain !== undefined || !this.#usable()) return chain;
    }
    const chain = this.take();
    if (chain !== undefined) this.#keep(chain);
    return chain;
  }

  #keep(chain: Chain): void {
    chain.taken = true;
    chain.done = false;
    chain.again = false;
    chain.sequence = this.#sequence++;
    this.counters.chains++;
    if (this.#inOrder) this.#order.push(chain);
  }

  /**
   * Buffers that were in flight when the queue was stopped: their addresses are checked as a driver's are.
   *
   * @returns the next one to be processed again; those that were done and only waited are given back on the way
   */
  #popAgain(): Chain | undefined {
    for (let buffer = this.#again.shift(); buffer !== undefined; buffer = this.#again.shift()) {
      const chain = this.#takeAgain(buffer);
      if (chain === undefined) return undefined;
      this.#keep(chain);
      chain.again = true;
      if (!("written" in buffer) || buffer.written === undefined) return chain;
      this.push(chain, buffer.written);
    }
    return undefined;
  }

  #takeAgain(buffer: InFlightBuffer | JournalledBuffer): Chain | undefined {
    const chain = this.claim(buffer.id);
    if (chain === undefined) return undefined;
    const walked = "descriptors" in buffer ? this.walkAgain(chain, buffer) : addPieces(this.walker, chain, buffer) || this.failWalk();
    if (!walked) return undefined;
    chain.id = buffer.id;
    chain.slots = buffer.slots;
    return chain;
  }

  /** Whether the queue runs and its rings can be reached, found again where their memory moved. */
  #usable(): boolean {
    if (!this.#stale && this.running && this.attached()) return true;
    return this.running && this.#bindAgain();
  }

  /**
   * Puts a buffer back where it was: the next {@link pop} takes it again. Only the newest one that was taken can go back.
   *
   * @throws {@link VirtioError} `not-in-flight` where the device does not have it, or took another one after it
   */
  putBack(chain: Chain): void {
    if (!chain.taken || chain.done || chain.sequence !== this.#sequence - 1) {
      throw new VirtioError("not-in-flight", `queue ${this.index}: only the buffer that was taken last can be put back`, {
        queue: this.index,
      });
    }
    chain.release();
    chain.taken = false;
    this.#sequence--;
    this.counters.chains--;
    if (this.#inOrder) this.#order.pop();
    if (chain.again) this.#again.unshift(describe(chain, this.#inOrder));
    else this.#untake(chain);
  }

  #untake(chain: Chain): void {
    this.untake(chain);
    this.journal?.untook(chain);
  }

  /** Makes a chain for the walker to fill. */
  protected makeChain(): Chain {
    return new Chain(this.#chainOwner);
  }

  /**
   * Gives a buffer back. The driver sees it after {@link flush}.
   *
   * @param written - bytes written from the start of its writable part
   * @throws {@link VirtioError} `not-in-flight` where the device does not have it
   */
  push(chain: Chain, written: number = chain.written): void {
    if (!chain.taken || chain.done) {
      throw new VirtioError("not-in-flight", `queue ${this.index}: this buffer was given back already: push each once`, {
        queue: this.index,
      });
    }
    chain.written = Math.min(Math.max(written, 0), chain.writableBytes);
    if (chain.held) {
      this.#pushHeld(chain);
    } else {
      this.#giveBack(chain);
    }
  }

  #pushHeld(chain: Chain): void {
    chain.release();
    this.#giveBack(chain);
    if (!this.#server.running) this.flush();
  }

  #giveBack(chain: Chain): void {
    chain.done = true;
    if (!this.#inOrder) {
      this.#complete(chain);
      return;
    }
    while (this.#order[0]?.done === true) this.#complete(this.#order.shift() as Chain);
  }

  #complete(chain: Chain): void {
    chain.taken = false;
    if (!this.#usable()) return;
    this.use(chain);
    this.journal?.used(chain);
    this.counters.used++;
  }

  /** Shows the driver what was given back, and interrupts it where it wants that. */
  flush(): void {
    if (!this.#usable()) return;
    const used = this.counters.used - this.#flushed;
    this.#flushed = this.counters.used;
    if (this.#show()) this.#moderator.wanted(used);
    else this.#moderator.passed(used);
  }

  #show(): boolean {
    this.journal?.showing(this.position());
    const wanted = this.publish();
    this.journal?.shown();
    return wanted;
  }

  /**
   * Holds interrupts back until there is a number of buffers to tell of, or some time has passed.
   *
   * @param buffers - 1 or less for no waiting
   * @param milliseconds - the most that an interrupt waits
   */
  moderate(buffers: number, milliseconds: number): void {
    this.#moderator.set(buffers, milliseconds);
  }

  #interrupt(): void {
    this.counters.interrupts++;
    this.#guarded(() => this.#owner.interrupt(this.index));
  }

  /** What others throw is reported: it must not end the loop that serves the guest. */
  #guarded(call: () => void): void {
    try {
      call();
    } catch (cause) {
      this.#owner.failed?.(this.index, cause);
    }
  }

  /** Tells the driver that its notifications are of no use now. */
  ignoreKicks(): void {
    if (this.#usable()) this.tellToIgnore();
  }

  /** Tells the driver that its notifications are wanted. @returns whether buffers arrived before it was told: look once more */
  askForKicks(): boolean {
    return this.#usable() && this.tellToKick();
  }

  /**
   * Has a handler called for each buffer. It runs when the driver notifies, once at the start for what is there already, and
   * not beyond its budget in one turn: then other queues have theirs. Where it answers false it had no use for the buffer yet:
   * it is given the same one again after {@link resume}.
   *
   * @throws {@link VirtioError} `invalid-argument`
   */
  serve(handler: ChainHandler, options: ServeOptions = {}): void {
    const { budget = BUDGET } = options;
    if (!Number.isSafeInteger(budget) || budget < 1) {
      throw new VirtioError("invalid-argument", `a budget of ${budget} buffers is none: give a whole number from 1`, { budget });
    }
    this.#server.start(handler, budget, options.batchEnd);
  }

  /** Goes on after a handler answered false. */
  resume(): void {
    this.#server.resume();
  }

  /**
   * Has a callback called when the driver notifies, for a device that takes buffers when it has use for them. Such a device says
   * itself when it wants to hear ({@link askForKicks}), and looks for what is there when its queue starts.
   */
  onKick(callback: () => void): void {
    this.#listener = callback;
  }

  /** The driver notified: for transports. */
  kick(): void {
    this.counters.kicks++;
    if (!this.running) return;
    if (this.#listener !== undefined) this.#guarded(this.#listener);
    this.#server.kick();
  }

  /** Ends the queue. Buffers that are given back later are passed over. @returns where it stood; the same each time */
  stop(): QueueState {
    if (this.#state !== undefined) return this.#state;
    // From here on nothing is taken, whoever is called in between.
    const lost = this.#fault !== undefined;
    this.#stopped = true;
    if (!lost && this.#reachable() && this.#show()) this.#moderator.wanted(0);
    this.#moderator.end();
    const taken = this.#taken();
    const inFlight = this.#putNewestBack(taken);
    this.#state = { ...this.position(), inFlight: [...inFlight.map((chain) => describe(chain, this.#inOrder)), ...this.#again] };
    for (const chain of taken) chain.release();
    this.unbind();
    return this.#state;
  }

  /** What was taken last and not given back is as if it had never been taken: then the position alone says all. */
  #putNewestBack(taken: readonly Chain[]): readonly Chain[] {
    let count = taken.length;
    for (let sequence = this.#sequence - 1; count > 0; sequence--) {
      const chain = taken[count - 1] as Chain;
      if (chain.done || chain.again || chain.sequence !== sequence) break;
      this.#untake(chain);
      count--;
    }
    return taken.slice(0, count);
  }

  /** Whether the rings are there, without a word to the driver where they are not: the machine may be on its way down. */
  #reachable(): boolean {
    if (!this.#stale && this.attached()) return true;
    if (this.space.released) return false;
    this.unbind();
    return this.bind() === undefined;
  }

  /** The ring's memory was moved, or unmapped: the arrays are taken anew before they are used again. */
  protected readonly becameStale = (): void => {
    this.#stale = true;
  };

  #bindAgain(): boolean {
    this.unbind();
    const fault = this.bind();
    if (fault !== undefined) return this.fail("ring-gone", fault.value);
    this.#stale = false;
    return true;
  }

  /** Retires the queue. @returns false */
  protected fail(code: RingFaultCode, value: number): false {
    if (this.#fault === undefined) {
      const fault = { code, value, queue: this.index };
      this.#fault = fault;
      this.#guarded(() => this.#owner.faulted?.(fault));
    }
    return false;
  }

  /** Retires the queue because of what the walker found. @returns false */
  protected failWalk(): false {
    const { code, value } = this.walker.fault ?? { code: "ring-gone" as const, value: 0 };
    return this.fail(code, value);
  }

  /** Opens windows on the rings. @internal */
  abstract bind(): Pick<RingFault, "code" | "value"> | undefined;
  /** Closes them. */
  protected abstract unbind(): void;
  /** Takes the next available buffer; undefined where there is none, or the driver broke the queue. */
  protected abstract take(): Chain | undefined;
  /** The chain for an id; undefined where the driver may not use it now, and has broken the queue. */
  protected abstract claim(id: number): Chain | undefined;
  /** Walks a buffer of a journal as one that the driver makes available. @returns whether it is one */
  protected abstract walkAgain(chain: Chain, buffer: JournalledBuffer): boolean;
  /** Goes back over the newest buffer that was taken. */
  protected abstract untake(chain: Chain): void;
  /** All chains that were made. */
  protected abstract known(): Iterable<Chain>;
  /** Puts a buffer among the used ones. */
  protected abstract use(chain: Chain): void;
  /** Shows the driver the used buffers. @returns whether it wants an interrupt */
  protected abstract publish(): boolean;
  /** Whether the arrays over the rings have bytes: memory of an engine may be detached with no word said. */
  protected abstract attached(): boolean;
  /** Writes that notifications are of no use. */
  protected abstract tellToIgnore(): void;
  /** Writes that notifications are wanted. @returns whether buffers arrived before that was written */
  protected abstract tellToKick(): boolean;
  /** Where the queue stands. */
  protected abstract position(): Omit<QueueState, "inFlight">;
}
