/**
 * QEMU's machine protocol on a socket: commands and their answers, and events.
 *
 * @see QEMU's docs/interop/qmp-spec
 */
import type { Duplex } from "node:stream";

/** Something that QEMU tells unasked. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Message extends Partial<QmpEvent> {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly QMP?: unknown;
}

interface Asked {
  readonly command: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (cause: Error) => void;
}

interface Waiter {
  readonly matches: (event: QmpEvent) => boolean;
  readonly resolve: (event: QmpEvent) => void;
  readonly reject: (cause: Error) => void;
}

/** A monitor connection. */
export class Qmp {
  readonly #socket: Duplex;
  readonly #asked = new Map<number, Asked>();
  readonly #waiters = new Set<Waiter>();
  readonly #greeting = Promise.withResolvers<void>();
  readonly #events: QmpEvent[] = [];
  #ids = 0;
  #rest = "";
  #failure: Error | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#greeting.promise.catch(() => {});
    socket.setEncoding("utf8").on("data", (chunk: string) => this.#hear(chunk));
  }

  /** Leaves the mode in which QEMU takes nothing but this. */
  async negotiate(): Promise<void> {
    await this.#greeting.promise;
    await this.execute("qmp_capabilities");
  }

  /** One command's answer; an error of QEMU's throws. */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = ++this.#ids;
    this.#asked.set(id, { command, resolve, reject });
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    return promise;
  }

  /**
   * The first event that matches and that nobody was given yet, whether it was before this call or comes after: what an
   * answered command caused is not missed.
   */
  event(matches: (event: QmpEvent) => boolean, what: string, timeout: number): Promise<QmpEvent> {
    const before = this.#events.findIndex(matches);
    const [had] = before < 0 ? [] : this.#events.splice(before, 1);
    if (had !== undefined) return Promise.resolve(had);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvent>();
    const waiter: Waiter = { matches, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => reject(new Error(`QEMU told of no ${what} in ${timeout} ms`)), timeout);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    });
  }

  /** Ends it all: whoever waits hears why, and so does whoever asks later. */
  fail(cause: Error): void {
    this.#failure ??= cause;
    this.#greeting.reject(cause);
    for (const { reject } of [...this.#asked.values(), ...this.#waiters]) reject(cause);
    this.#asked.clear();
  }

  #hear(chunk: string): void {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#take(JSON.parse(line) as Message);
  }

  #take({ QMP, id, error, return: answer, event, data = {} }: Message): void {
    if (QMP !== undefined) this.#greeting.resolve();
    if (event !== undefined) this.#tell({ event, data });
    const asked = id === undefined ? undefined : this.#asked.get(id);
    if (id === undefined || asked === undefined) return;
    this.#asked.delete(id);
    if (error === undefined) asked.resolve(answer);
    else asked.reject(new Error(`QEMU refused ${asked.command}: ${error.desc} (${error.class})`));
  }

  #tell(event: QmpEvent): void {
    for (const waiter of this.#waiters) {
      if (!waiter.matches(event)) continue;
      this.#waiters.delete(waiter);
      return waiter.resolve(event);
    }
    this.#events.push(event);
  }
}
