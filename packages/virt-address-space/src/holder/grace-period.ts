/**
 * Grace periods: what a commit removed is freed when every participant has let go of the views before it. The idea is the
 * kernel's RCU: readers never wait, whoever frees does.
 *
 * @module
 */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { SpaceHost } from "../host/host.ts";

/** Someone who may still be reading an old view. */
export interface Participant {
  name: string;
  /** The generation up to which it has let go of what came before. */
  acknowledged: number;
}

/** What a commit waits for. */
export class GracePeriod {
  readonly generation: number;
  readonly #waiting: Set<Participant>;
  readonly #died: string[] = [];
  readonly #free: () => void;
  readonly #timeout: number;
  readonly #cancelTimer: () => void;
  readonly #ended: (period: GracePeriod) => void;
  #error: VirtAddressSpaceError | undefined;
  #over = false;
  #promise: PromiseWithResolvers<void> | undefined;

  constructor(
    generation: number,
    waiting: Set<Participant>,
    timeout: number,
    host: SpaceHost,
    free: () => void,
    ended: (period: GracePeriod) => void,
  ) {
    this.generation = generation;
    this.#waiting = waiting;
    this.#free = free;
    this.#ended = ended;
    this.#timeout = timeout;
    this.#cancelTimer = waiting.size > 0 ? host.setTimer(timeout, () => this.#timedOut()) : () => {};
    this.#check();
  }

  /** Resolves when all have let go; see `Commit.settled`. */
  get settled(): Promise<void> {
    this.#promise ??= Promise.withResolvers<void>();
    this.#tellPromise();
    return this.#promise.promise;
  }

  /** A participant has let go of the views before a generation. */
  acknowledged(participant: Participant): void {
    if (participant.acknowledged >= this.generation && this.#waiting.delete(participant)) this.#check();
  }

  /** A participant is no more. */
  left(participant: Participant, died: boolean): void {
    if (!this.#waiting.delete(participant)) return;
    if (died) this.#died.push(participant.name);
    this.#check();
  }

  #check(): void {
    if (this.#over || this.#waiting.size > 0) return;
    this.#over = true;
    this.#cancelTimer();
    this.#free();
    if (this.#died.length > 0) {
      const names = this.#died.map((name) => `"${name}"`).join(", ");
      this.#error ??= new VirtAddressSpaceError(
        "holder-died",
        `${names} died before letting go; the change stands and what it removed has been released`,
        { holders: this.#died },
      );
    }
    this.#tellPromise();
    this.#ended(this);
  }

  #timedOut(): void {
    const holders = [...this.#waiting].map(({ name }) => name);
    this.#error = new VirtAddressSpaceError(
      "holder-unresponsive",
      `${holders.map((name) => `"${name}"`).join(", ")} did not let go within ${this.#timeout} ms; ` +
        "the change stands, and what it removed stays allocated until they do (have them return to their event loop, end their batch(), call quiesce() with a link that can receive, or terminate them)",
      { holders, milliseconds: this.#timeout },
    );
    this.#tellPromise();
  }

  #tellPromise(): void {
    if (this.#error !== undefined) this.#promise?.reject(this.#error);
    else if (this.#over) this.#promise?.resolve();
  }
}

/** The participants and the grace periods that are under way. */
export class GracePeriods {
  readonly #participants = new Set<Participant>();
  readonly #pending = new Set<GracePeriod>();
  readonly #host: SpaceHost;
  readonly #timeout: number;

  /** @param timeout - milliseconds after which a grace period fails with the names of those who did not let go */
  constructor(host: SpaceHost, timeout: number) {
    this.#host = host;
    this.#timeout = timeout;
  }

  join(name: string, generation: number): Participant {
    const participant = { name, acknowledged: generation };
    this.#participants.add(participant);
    return participant;
  }

  leave(participant: Participant, died: boolean): void {
    if (!this.#participants.delete(participant)) return;
    for (const period of [...this.#pending]) period.left(participant, died);
  }

  acknowledge(participant: Participant, generation: number): void {
    participant.acknowledged = Math.max(participant.acknowledged, generation);
    for (const period of [...this.#pending]) period.acknowledged(participant);
  }

  /** Begins a grace period: `free` is called when it is over, at once where nobody must let go. */
  begin(generation: number, free: () => void): GracePeriod {
    const waiting = new Set([...this.#participants].filter((each) => each.acknowledged < generation));
    const ended = (each: GracePeriod): void => void this.#pending.delete(each);
    const period = new GracePeriod(generation, waiting, this.#timeout, this.#host, free, ended);
    if (waiting.size > 0) this.#pending.add(period);
    return period;
  }
}
