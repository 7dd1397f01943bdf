/**
 * How a vCPU's thread has an access performed by the thread that owns the handlers: words in shared memory, one access at a time.
 *
 * @module
 */

/** Words of the shared memory. */
const Word = {
  stop: 0,
  thread: 1,
  request: 2,
  access: 3,
  size: 4,
  addressLow: 5,
  addressHigh: 6,
  low: 7,
  high: 8,
  ports: 9,
  memory: 10,
  words: 11,
} as const;

const NONE = 0;
const PENDING = 1;

/** What is accessed, and how. */
export const Access = { readPort: 0, writePort: 1, readMemory: 2, writeMemory: 3 } as const;

/** One of {@link Access}. */
export type AccessKind = (typeof Access)[keyof typeof Access];

/** An access of 1 to 8 bytes; its value as two halves, so that no bigint is made for each. */
export interface GuestAccess {
  readonly kind: AccessKind;
  readonly address: number;
  readonly size: number;
  low: number;
  high: number;
}

/** Performs an access: writes take `low` and `high`, reads set them. */
export type Perform = (access: GuestAccess) => void;

/** Both ends of the channel, one in each thread. */
export class ExitChannel {
  /** For the other thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  #serving = true;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4 * Word.words)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Whether the vCPU is to leave the guest. */
  get stop(): boolean {
    return Atomics.load(this.#words, Word.stop) !== 0;
  }

  set stop(stop: boolean) {
    Atomics.store(this.#words, Word.stop, stop ? 1 : 0);
  }

  /** The kernel's number of the vCPU's thread; 0 until it runs. */
  get thread(): number {
    return Atomics.load(this.#words, Word.thread);
  }

  set thread(thread: number) {
    Atomics.store(this.#words, Word.thread, thread);
  }

  /** Accesses to ports so far. */
  get portAccesses(): number {
    return this.#words[Word.ports] as number;
  }

  /** Accesses to memory so far. */
  get memoryAccesses(): number {
    return this.#words[Word.memory] as number;
  }

  /** Counts an access, in the vCPU's thread. */
  count(kind: AccessKind): void {
    const word = kind <= Access.writePort ? Word.ports : Word.memory;
    this.#words[word] = (this.#words[word] as number) + 1;
  }

  /** In the vCPU's thread: waits until the other thread has performed an access. */
  forward(access: GuestAccess): void {
    const words = this.#words;
    words[Word.access] = access.kind;
    words[Word.size] = access.size;
    words[Word.addressLow] = access.address | 0;
    words[Word.addressHigh] = Math.floor(access.address / 2 ** 32);
    words[Word.low] = access.low;
    words[Word.high] = access.high;
    Atomics.store(words, Word.request, PENDING);
    Atomics.notify(words, Word.request);
    while (Atomics.load(words, Word.request) === PENDING) Atomics.wait(words, Word.request, PENDING);
    access.low = (words[Word.low] as number) >>> 0;
    access.high = (words[Word.high] as number) >>> 0;
  }

  /** In the other thread: performs what is asked for, until {@link close}. */
  async serve(perform: Perform): Promise<void> {
    const words = this.#words;
    while (this.#serving) {
      const { async, value } = Atomics.waitAsync(words, Word.request, NONE);
      if (async) await value;
      if (!this.#serving || Atomics.load(words, Word.request) !== PENDING) continue;
      const access: GuestAccess = {
        kind: words[Word.access] as AccessKind,
        size: words[Word.size] as number,
        address: ((words[Word.addressLow] as number) >>> 0) + (words[Word.addressHigh] as number) * 2 ** 32,
        low: (words[Word.low] as number) >>> 0,
        high: (words[Word.high] as number) >>> 0,
      };
      perform(access);
      words[Word.low] = access.low;
      words[Word.high] = access.high;
      Atomics.store(words, Word.request, NONE);
      Atomics.notify(words, Word.request);
    }
  }

  /** Ends {@link serve}: the vCPU's thread is gone. */
  close(): void {
    this.#serving = false;
    Atomics.notify(this.#words, Word.request);
  }
}
