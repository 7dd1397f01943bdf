/** A device made of an author's parts: what the contract of devices wants besides is done here. @module */
import { ConfigBytes, type DeviceConfig } from "../device/device-config.ts";
import { type Logger, silentLogger } from "../device/logger.ts";
import type { DeviceContext, QueueSpec, VirtioDevice } from "../device/virtio-device.ts";
import { FeatureSet } from "../feature/feature-set.ts";
import type { ChainHandler, ServeOptions } from "../queue/queue-server.ts";
import type { QueueState } from "../queue/queue-state.ts";
import type { Virtqueue } from "../queue/virtqueue.ts";
import type { DefinedQueue, DeviceParts, DeviceSurroundings } from "./device-definition.ts";

/** Made by {@link defineDevice}. Disposing it calls its `stop`, once. */
export class DefinedDevice implements VirtioDevice, Disposable, AsyncDisposable {
  readonly name: string;
  readonly type: number;
  readonly features: FeatureSet;
  readonly queues: readonly QueueSpec[];
  readonly config: DeviceConfig;
  readonly save?: () => unknown;
  readonly restore?: (state: unknown) => void;
  readonly #parts: DeviceParts;
  readonly #random: (bytes: Uint8Array) => void;
  readonly #log: Logger;
  readonly #queues: readonly ServedByName[];
  readonly #byName: Readonly<Record<string, DefinedQueue>>;
  #undo: (() => void) | undefined;
  #stopped: Promise<void> | undefined;

  constructor(name: string, parts: DeviceParts, { random, log = silentLogger }: DeviceSurroundings) {
    this.name = name;
    this.type = parts.type;
    this.features = parts.features ?? FeatureSet.none;
    this.queues = parts.queues;
    this.config = parts.config ?? new ConfigBytes(0);
    const { save, restore } = parts;
    if (save !== undefined) this.save = () => save.call(parts);
    if (restore !== undefined) this.restore = (state) => restore.call(parts, state);
    this.#parts = parts;
    this.#random = random;
    this.#log = log;
    this.#queues = parts.queues.map(() => new ServedByName());
    this.#byName = Object.fromEntries(parts.queues.map((queue, index) => [queue.name, this.#queues[index] as ServedByName]));
  }

  start({ space, features, log, now, configChanged, needReset = () => {} }: DeviceContext): void {
    const context = { queues: this.#byName, space, features, log, random: this.#random, now, configChanged, needReset };
    const undo = this.#parts.start(context);
    if (typeof undo === "function") this.#undo = () => void undo();
  }

  startQueue(index: number, queue: Virtqueue): void {
    this.#queues[index]?.run(queue);
  }

  stopQueue(index: number): QueueState {
    return (this.#queues[index] as ServedByName).end();
  }

  reset(): void {
    const undo = this.#undo;
    this.#undo = undefined;
    for (const queue of this.#queues) queue.forget();
    undo?.();
  }

  /** As the other, for who can't wait: what fails is logged. */
  [Symbol.dispose](): void {
    this[Symbol.asyncDispose]().catch((cause: unknown) => this.#log.error(`${this.name} failed in stop`, { cause }));
  }

  /** Resets it, and has it close what it has open. Idempotent. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    try {
      this.reset();
    } finally {
      await this.#parts.stop?.();
    }
  }
}

class ServedByName implements DefinedQueue {
  #running: Virtqueue | undefined;
  #served: { readonly handler: ChainHandler; readonly options: ServeOptions } | undefined;

  get running(): Virtqueue | undefined {
    return this.#running;
  }

  serve(handler: ChainHandler, options: ServeOptions = {}): void {
    this.#served = { handler, options };
    this.#running?.serve(handler, options);
  }

  resume(): void {
    this.#running?.resume();
  }

  run(queue: Virtqueue): void {
    this.#running = queue;
    if (this.#served !== undefined) queue.serve(this.#served.handler, this.#served.options);
  }

  end(): QueueState {
    const queue = this.#running as Virtqueue;
    this.#running = undefined;
    return queue.stop();
  }

  forget(): void {
    this.#served = undefined;
  }
}
