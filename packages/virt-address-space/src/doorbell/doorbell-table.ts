/** The doorbells of a space, by address. @module */
import { requireAddress } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { Doorbell, DoorbellSpec } from "./doorbell.ts";

const LENGTHS = [0, 1, 2, 4, 8];

interface Entry {
  readonly doorbell: Doorbell;
  readonly low: number;
  readonly high: number;
}

/** Checks a doorbell that was asked for; returns the value it waits for. */
export function checkDoorbell(spec: DoorbellSpec): bigint | undefined {
  requireAddress(spec.address);
  if (!LENGTHS.includes(spec.length)) {
    throw new VirtAddressSpaceError("invalid-length", `a doorbell's length is 0 (any), 1, 2, 4 or 8, not ${spec.length}`);
  }
  if (typeof spec.notifier?.signal !== "function") {
    throw new VirtAddressSpaceError("invalid-argument", "a doorbell needs something to ring: give a notifier");
  }
  if (spec.datamatch === undefined) return undefined;
  const whole = typeof spec.datamatch === "bigint" || Number.isSafeInteger(spec.datamatch);
  if (spec.length === 0 || !whole || BigInt(spec.datamatch) < 0n || BigInt(spec.datamatch) >> BigInt(spec.length * 8)) {
    throw new VirtAddressSpaceError(
      "invalid-argument",
      `a doorbell of length ${spec.length} can't match ${String(spec.datamatch)}: give an unsigned integer that fits the length; a doorbell of any length (0) matches no value`,
    );
  }
  return BigInt(spec.datamatch);
}

/** Finds the doorbell that a write rings. */
export class DoorbellTable {
  readonly #byAddress = new Map<number, Entry[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): Iterator<Doorbell> {
    for (const entries of this.#byAddress.values()) for (const entry of entries) yield entry.doorbell;
  }

  has(doorbell: Doorbell): boolean {
    return this.#byAddress.get(doorbell.address)?.some((entry) => entry.doorbell === doorbell) ?? false;
  }

  /** The doorbell that would ring for some of the same writes, as KVM's collision rule has it. */
  rival(doorbell: Doorbell): Doorbell | undefined {
    const { length, datamatch } = doorbell;
    return this.#byAddress.get(doorbell.address)?.find(({ doorbell: other }) => {
      if (other.length === 0 || length === 0) return true;
      if (other.length !== length) return false;
      return other.datamatch === undefined || datamatch === undefined || other.datamatch === datamatch;
    })?.doorbell;
  }

  add(doorbell: Doorbell): void {
    const match = doorbell.datamatch ?? 0n;
    const entry = { doorbell, low: Number(match & 0xffff_ffffn), high: Number(match >> 32n) };
    const entries = this.#byAddress.get(doorbell.address);
    if (entries === undefined) this.#byAddress.set(doorbell.address, [entry]);
    else entries.push(entry);
    this.#size++;
  }

  remove(doorbell: Doorbell): void {
    const entries = this.#byAddress.get(doorbell.address);
    const at = entries?.findIndex((entry) => entry.doorbell === doorbell) ?? -1;
    if (entries === undefined || at < 0) return;
    entries.splice(at, 1);
    if (entries.length === 0) this.#byAddress.delete(doorbell.address);
    this.#size--;
  }

  /** Rings for a write, given as the lower and upper 32 bits of its value. @returns whether there was a doorbell */
  ring(address: number, size: number, low: number, high: number): boolean {
    if (this.#size === 0) return false;
    const entries = this.#byAddress.get(address);
    if (entries === undefined) return false;
    for (const { doorbell, low: wantedLow, high: wantedHigh } of entries) {
      if (doorbell.length !== 0 && doorbell.length !== size) continue;
      if (doorbell.datamatch !== undefined && (wantedLow !== low || wantedHigh !== high)) continue;
      doorbell.notifier.signal();
      return true;
    }
    return false;
  }
}
