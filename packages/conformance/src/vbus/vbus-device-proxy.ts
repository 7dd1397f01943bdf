/** A device on a bus as its driver in the guest sees it. @module */
import { BusCall, type CallResult, type ErrnoName, isErrno, NO_SIGNAL, ShmSignal } from "@virtspace/vbus";
import type { GuestAddress } from "@virtspace/virt-address-space";
import { type BusCaller, quad } from "./bus-caller.ts";

/** Where a driver's signal is, and how urgent. */
export interface ProxySignal {
  /** Bytes from the start of the memory. */
  readonly offset: number;
  /** 0 to 7; the highest comes first. */
  readonly prio: number;
}

/** A device. */
export class VbusDeviceProxy {
  /** The ABI, by name. */
  readonly type: string;
  /** Its number on the bus. */
  readonly id: bigint;
  readonly #guest: BusCaller;
  readonly #signals: ShmSignal[] = [];
  #handle = 0n;

  /** @internal */
  constructor(guest: BusCaller, type: string, id: bigint) {
    this.#guest = guest;
    this.type = type;
    this.id = id;
  }

  /** The guest that it is in. */
  get guest(): BusCaller {
    return this.#guest;
  }

  /** Opens it. @returns 0, or what the bus says */
  open(version: number): CallResult {
    const { result, words } = this.#guest.buscall(BusCall.devopen, [Number(this.id), version, 0, 0]);
    if (result === 0) this.#handle = BigInt(words[2] as number) | (BigInt(words[3] as number) << 32n);
    return result;
  }

  /** Closes it, with all of its signals. */
  close(): CallResult {
    for (const signal of this.#signals.splice(0)) {
      this.#guest.forget(signal);
      signal[Symbol.dispose]();
    }
    return this.#guest.buscall(BusCall.devclose, this.#handleWords).result;
  }

  /** Calls it. */
  call(func: number, data: GuestAddress, len: number, flags = 0): CallResult {
    return this.#guest.buscall(BusCall.devcall, [...this.#handleWords, func, len, flags, 0, ...quad(data)]).result;
  }

  /** Gives it shared memory, without a signal. */
  share(id: number, ptr: GuestAddress, len: number, flags = 0): CallResult {
    const words = [...this.#handleWords, id, len, flags, 0, NO_SIGNAL, 0, 0, 0, ...quad(ptr)];
    return this.#guest.buscall(BusCall.devshm, words).result;
  }

  /** Gives it shared memory with a signal. @returns the guest's end of that */
  shm(id: number, ptr: GuestAddress, len: number, { offset, prio }: ProxySignal, flags = 0): ShmSignal | ErrnoName {
    const guest = this.#guest;
    const memory = guest.memctx.shm(ptr, len);
    if (isErrno(memory)) return memory;
    let handle = 0;
    let refused: ErrnoName | undefined;
    const signal = guest.listen((cookie) => {
      const made = new ShmSignal({ shm: memory, offset, locale: "north", inject: () => guest.shmsignal(handle), ...guest.host });
      const words = [...this.#handleWords, id, len, flags, 0, offset, prio, Number(cookie), 0, ...quad(ptr)];
      const { result } = guest.buscall(BusCall.devshm, words);
      if (isErrno(result)) refused = result;
      else handle = result;
      return made;
    });
    memory.put();
    if (refused === undefined) {
      this.#signals.push(signal);
      return signal;
    }
    guest.forget(signal);
    signal[Symbol.dispose]();
    return refused;
  }

  get #handleWords(): [number, number] {
    return [Number(this.#handle & 0xffff_ffffn), Number(this.#handle >> 32n)];
  }
}
