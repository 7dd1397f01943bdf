/**
 * Addresses as branded numbers, and the constructors that check them.
 *
 * A guest physical address, an I/O virtual address and a peer's virtual address are all integers, and mixing them up is
 * how a device ends up reading the wrong memory. They are three types here. They are numbers and not bigints because a
 * bigint costs five to ten times as much on a hot path; 2^52 - 1 is the greatest physical address x86-64 defines.
 *
 * @module
 */
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";

declare const kind: unique symbol;

/** A guest physical address: an integer from 0 to {@link MAX_ADDRESS}. Made by {@link gpa} or {@link tryGpa}. */
export type GuestAddress = number & {
  /** Tells it from other numbers; there is no such property at run time. */
  readonly [kind]: "guest-physical";
};

/** An address that a device uses behind an IOMMU; it means nothing until an IOMMU translates it. Made by {@link iova}. */
export type IoVirtualAddress = number & {
  /** Tells it from other numbers; there is no such property at run time. */
  readonly [kind]: "io-virtual";
};

/** An address in another process, as vhost-user messages carry them. Never to be dereferenced. Made by {@link peerAddress}. */
export type PeerVirtualAddress = number & {
  /** Tells it from other numbers; there is no such property at run time. */
  readonly [kind]: "peer-virtual";
};

/** The greatest address of any kind: 2^52 - 1. */
export const MAX_ADDRESS: number = 2 ** 52 - 1;

/** Bytes in a page, the grain of the dirty log: 4096. */
export const PAGE_SIZE = 4096;

/** 1024 bytes. */
export const KiB = 1024;
/** 1024 KiB. */
export const MiB: number = 1024 * KiB;
/** 1024 MiB. */
export const GiB: number = 1024 * MiB;

/** Whether a value is an integer from 0 to {@link MAX_ADDRESS}. */
export function isAddress(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_ADDRESS;
}

function checked(value: number | bigint, what: string): number {
  const number = typeof value === "bigint" && value >= 0n && value <= BigInt(MAX_ADDRESS) ? Number(value) : value;
  if (isAddress(number)) return number;
  throw new VirtAddressSpaceError("invalid-address", `${String(value)} is not a ${what}: give an integer from 0 to 2^52 - 1`, { value });
}

/**
 * Makes a guest physical address.
 *
 * @param value - an integer from 0 to {@link MAX_ADDRESS}
 * @throws {@link VirtAddressSpaceError} `invalid-address`
 * @example
 * ```ts
 * import { gpa } from "@virtspace/virt-address-space";
 * const ring = gpa(0x1000);
 * ```
 */
export function gpa(value: number | bigint): GuestAddress {
  return checked(value, "guest physical address") as GuestAddress;
}

/**
 * Makes a guest physical address of a value that a guest chose, which is no reason to throw.
 *
 * @param value - any number or bigint
 * @returns the address, or undefined where the value is none
 */
export function tryGpa(value: number | bigint): GuestAddress | undefined {
  const number = typeof value === "bigint" ? (value <= BigInt(MAX_ADDRESS) ? Number(value) : -1) : value;
  return isAddress(number) ? (number as GuestAddress) : undefined;
}

/**
 * The address a number of bytes further on.
 *
 * @throws {@link VirtAddressSpaceError} `invalid-address` where the sum is none
 */
export function advance(address: GuestAddress, bytes: number): GuestAddress {
  return checked(address + bytes, "guest physical address") as GuestAddress;
}

/**
 * Makes an I/O virtual address.
 *
 * @throws {@link VirtAddressSpaceError} `invalid-address`
 */
export function iova(value: number | bigint): IoVirtualAddress {
  return checked(value, "I/O virtual address") as IoVirtualAddress;
}

/**
 * Makes a peer's virtual address.
 *
 * @throws {@link VirtAddressSpaceError} `invalid-address`
 * @see the "front-end address" of QEMU's vhost-user document
 */
export function peerAddress(value: number | bigint): PeerVirtualAddress {
  return checked(value, "virtual address of a peer") as PeerVirtualAddress;
}

/** Throws `invalid-address` unless the value is an address; for entrances that an untyped caller can reach. */
export function requireAddress(value: number): void {
  if (!isAddress(value)) gpa(value);
}

/** Throws `invalid-length` unless the value is an integer from `least` to 2^52. */
export function requireLength(value: number, least: number, what: string): void {
  if (Number.isSafeInteger(value) && value >= least && value <= MAX_ADDRESS + 1) return;
  throw new VirtAddressSpaceError(
    "invalid-length",
    `${what} is ${String(value)}: give a whole number, at least ${least} and at most 2^52`,
    {
      value,
    },
  );
}
