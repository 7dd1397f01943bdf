/**
 * Adds to the count of an eventfd, and takes it, without ever waiting. `write` waits at a count that is full, and `read` at none,
 * where the descriptor is not O_NONBLOCK; and each process that shares it can take that away at any moment. So it is added by the
 * kernel, which tells an eventfd that an asynchronous read has ended and does not wait for room, and taken by a read that says for
 * itself that it does not wait.
 *
 * @see io_submit(2), preadv2(2)
 * @module
 */
import { arch, constants } from "node:os";
import { bytesAt, call, callError, nativeBlock, tryCall } from "../native/libc.ts";

const { EAGAIN, EOPNOTSUPP, ENOSYS } = constants.errno;

/** Numbers of io_setup and io_submit, which the C library has no functions for. */
const CALLS: Readonly<Record<string, { readonly setup: number; readonly submit: number }>> = {
  x64: { setup: 206, submit: 209 },
  arm64: { setup: 0, submit: 2 },
};

const CLOEXEC_NONBLOCK = 0o2004000;
const EVENTS = 64;
const REQUEST_BYTES = 64;
const DESCRIPTOR_AT = 20;
const FLAGS_AT = 56;
const TOLD_AT = 60;
const TELL_EVENTFD = 1;
const RING_MAGIC = 0xa10a_10a1;
const RING_BYTES = 32;
/** A greater number than this is told as this: nobody waits for one. */
const MOST = 4096;

/** Asks the kernel for reads of no bytes. What they come to matters to nobody; that they end is told. */
class Teller {
  readonly #submit: number;
  readonly #context: bigint;
  readonly #request: DataView;
  readonly #pointers: bigint;
  /** The ring of ended requests: its head and tail are the words 2 and 3. */
  readonly #ring: Uint32Array;

  private constructor(submit: number, context: bigint, ring: Uint32Array) {
    this.#submit = submit;
    this.#context = context;
    this.#ring = ring;
    const block = nativeBlock(REQUEST_BYTES + 8 * EVENTS);
    this.#request = block.view;
    this.#request.setUint32(FLAGS_AT, TELL_EVENTFD, true);
    this.#pointers = block.address + BigInt(REQUEST_BYTES);
    for (let i = 0; i < EVENTS; i++) block.view.setBigUint64(REQUEST_BYTES + 8 * i, block.address, true);
  }

  /** @returns undefined where the kernel, or who confines this process, has no such calls */
  static open(): Teller | undefined {
    const calls = CALLS[arch()];
    if (calls === undefined) return undefined;
    const context = new BigUint64Array(1);
    if (tryCall("io_setup", calls.setup, EVENTS, new Uint8Array(context.buffer)).errno !== 0) return undefined;
    const [address] = context as unknown as [bigint];
    const ring = new Uint32Array(bytesAt(address, RING_BYTES));
    if (ring[4] !== RING_MAGIC) return undefined;
    const teller = new Teller(calls.submit, address, ring);
    return teller.#works() ? teller : undefined;
  }

  /** A kernel may have the calls, and no asynchronous reads of eventfds. */
  #works(): boolean {
    const fd = call("eventfd", 0, CLOEXEC_NONBLOCK);
    this.tell(fd, 1);
    const count = takeCount(fd);
    tryCall("close", fd);
    return count === 1;
  }

  tell(fd: number, count: number): void {
    const request = this.#request;
    // A read of no bytes from the eventfd itself: that ends at once, with an error.
    request.setUint32(DESCRIPTOR_AT, fd, true);
    request.setUint32(TOLD_AT, fd, true);
    tryCall("io_submit", this.#submit, this.#context, count, this.#pointers);
    this.#ring[2] = this.#ring[3] as number;
  }
}

let teller: Teller | undefined | "unknown" = "unknown";

/** Adds to a count. What is closed, or full, is passed over. */
export function addToCount(fd: number, count: number): void {
  if (teller === "unknown") teller = Teller.open();
  if (teller === undefined) return write(fd, count);
  for (let left = Math.min(count, MOST); left > 0; left -= EVENTS) teller.tell(fd, Math.min(left, EVENTS));
}

const word = new Uint8Array(8);
const words = new BigUint64Array(word.buffer);

/** The way that may wait. */
function write(fd: number, count: number): void {
  words[0] = BigInt(count);
  tryCall("write", fd, word, 8);
}

const IOV_BYTES = 16;
const NOWAIT = 8;
let target: ReturnType<typeof nativeBlock> | undefined;
let canSayNoWait = true;

/**
 * Takes a count and leaves 0.
 *
 * @throws {@link HostLinuxError} `system-call` where this is no eventfd
 */
export function takeCount(fd: number): number {
  target ??= makeTarget();
  const { result, errno } = canSayNoWait ? tryCall("preadv2", fd, target.address, 1, -1, NOWAIT) : tryCall("readv", fd, target.address, 1);
  if (errno === 0) return result === 8 ? Number(target.view.getBigUint64(IOV_BYTES, true)) : 0;
  if (errno === EAGAIN) return 0;
  if (canSayNoWait && (errno === EOPNOTSUPP || errno === ENOSYS)) {
    canSayNoWait = false;
    return takeCount(fd);
  }
  throw callError("read", errno);
}

function makeTarget(): ReturnType<typeof nativeBlock> {
  const block = nativeBlock(IOV_BYTES + 8);
  block.view.setBigUint64(0, block.address + BigInt(IOV_BYTES), true);
  block.view.setBigUint64(8, 8n, true);
  return block;
}
