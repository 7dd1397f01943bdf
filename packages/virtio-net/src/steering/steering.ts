/** Which receive queue a frame goes to. @module */
import type { Frame } from "@virtspace/network";
import type { NetSettings } from "../control/net-settings.ts";
import type { Receiver } from "../receive/receiver.ts";
import { Flow } from "./flow.ts";
import { type FlowHash, FlowHasher } from "./flow-hash.ts";
import { FlowTable } from "./flow-table.ts";

/** Spreads frames over receivers. */
export class Steering {
  /** The one receiver that all frames go to, as long as nobody wants to know their flows. */
  target: Receiver | undefined;
  readonly #settings: NetSettings;
  readonly #flow = new Flow();
  readonly #table = new FlowTable();
  #receivers: readonly (Receiver | undefined)[] = [];
  #hasher: FlowHasher | undefined;
  #pairs = 0;

  constructor(settings: NetSettings) {
    this.#settings = settings;
  }

  /** Whether there is no receiver. */
  get empty(): boolean {
    return this.#pairs === 0;
  }

  /** Follows queues and settings. @param reports - whether the driver is told of hashes */
  follow(receivers: readonly (Receiver | undefined)[], reports: boolean): void {
    const { hash, pairs } = this.#settings;
    // Only those in a row from the first can be counted through.
    let running = receivers.indexOf(undefined);
    if (running < 0) running = receivers.length;
    this.#receivers = receivers;
    this.#pairs = Math.min(running, pairs ?? running);
    this.#hasher = hash === undefined ? undefined : new FlowHasher(hash.types, Uint8Array.from(hash.key));
    const plain = this.#pairs === 1 && !reports && hash === undefined;
    this.target = plain ? receivers[0] : undefined;
  }

  /** Remembers which pair a flow uses. */
  sent(frame: Frame, pair: number): void {
    if (this.#pairs < 2 || this.#settings.hash?.table !== undefined) return;
    this.#flow.read(frame);
    this.#table.learn(this.#flow, pair);
  }

  /** Gives a frame to the receiver of its flow. @returns false where that has no room */
  receive(frame: Frame): boolean {
    this.#flow.read(frame);
    const hash = this.#hasher?.hash(this.#flow);
    const receiver = this.#receivers[this.#pair(hash)] ?? this.#receivers[0];
    return receiver === undefined || receiver.receive(frame, hash);
  }

  #pair(hash: FlowHash | undefined): number {
    const { hash: settings } = this.#settings;
    if (settings?.table === undefined) return this.#table.pair(this.#flow, this.#pairs);
    if (hash === undefined) return settings.unclassified ?? 0;
    return settings.table[hash.value & (settings.table.length - 1)] ?? 0;
  }

  /** Forgets the flows. */
  clear(): void {
    this.#table.clear();
  }
}
