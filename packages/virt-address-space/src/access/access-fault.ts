/** Why an access to guest memory could not be had, as a value: guests choose addresses, so this is no exception. @module */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";

/**
 * - `unmapped`: a hole
 * - `crosses-region`: more than one region, where one was needed
 * - `read-only`: a write to ROM
 * - `not-memory`: an I/O window, where memory was needed
 * - `elsewhere`: memory or a handler of another thread that can't be reached from here
 * - `gone`: the provider has no bytes at this moment
 * - `empty`: a window of no bytes
 */
export type AccessFaultCode = "unmapped" | "crosses-region" | "read-only" | "not-memory" | "elsewhere" | "gone" | "empty";

/** A refused access. */
export class AccessFault {
  /** Why there was no access. */
  readonly code: AccessFaultCode;
  /** Where it was refused. */
  readonly address: number;
  /** The region there, where there is one. */
  readonly region: string | undefined;

  constructor(code: AccessFaultCode, address: number, region?: string) {
    this.code = code;
    this.address = address;
    this.region = region;
  }

  /** The fault as the exception for callers who did not expect one. */
  toError(): VirtAddressSpaceError {
    const where = this.region === undefined ? "" : ` in region "${this.region}"`;
    return new VirtAddressSpaceError(this.code, `at 0x${this.address.toString(16)}${where} ${REASONS[this.code]}`, {
      address: this.address,
      region: this.region,
    });
  }
}

const REASONS: Readonly<Record<AccessFaultCode, string>> = {
  unmapped: "nothing is mapped: map memory there, or ask lookup() before",
  "crosses-region": "the range leaves the region in which it begins: use sgmap() for windows on several, or a copy",
  "read-only": "the memory is read-only: open the window with { write: false }",
  "not-memory": "there is an I/O window and no memory: use reads and writes by address",
  elsewhere: "what is mapped belongs to another thread and can't be reached from this one: share memory, or ioRead() and ioWrite()",
  gone: "the memory has no bytes now: its provider was released, or its engine is about to replace it",
  empty: "a window of no bytes was asked for: give it a length of at least 1",
};
