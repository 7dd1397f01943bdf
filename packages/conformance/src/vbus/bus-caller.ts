/** What a device's proxy asks of the guest that it is in. @module */
import type { CallResult, ShmSignal, VbusHost, VbusMemctx } from "@virtspace/vbus";
import type { GuestHeap } from "./guest-heap.ts";

/** What a call to the bus gave. */
export interface BusCallAnswer {
  /** The result. */
  readonly result: CallResult;
  /** Its parameters as they are then. */
  readonly words: readonly number[];
}

/** Services of the host, where they were replaced. */
export interface HostChoice {
  /** Those that take their place. */
  readonly host?: VbusHost;
}

/** A guest, as far as its devices' drivers need it. */
export interface BusCaller {
  /** The guest's memory, to take from. */
  readonly heap: GuestHeap;
  /** The guest's memory, to have shared memory from. */
  readonly memctx: VbusMemctx;
  /** Services of the host, where they were replaced. */
  readonly host: HostChoice;
  /** Calls the bus, with a structure of words. */
  buscall(vector: number, words: readonly number[]): BusCallAnswer;
  /** Has events of a cookie wake a signal. */
  listen(signal: (cookie: bigint) => ShmSignal): ShmSignal;
  /** Nothing comes of a signal any more. */
  forget(signal: ShmSignal): void;
  /** Tells a device of news, by its signal's handle. */
  shmsignal(handle: number): void;
}

/** A number of 64 bits as two words. */
export function quad(value: number): [number, number] {
  return [value % 2 ** 32, Math.floor(value / 2 ** 32)];
}
