/** What the two guest-side drivers of queues have in common. @module */
import type { GuestAddress, GuestRange } from "@virtspace/virt-address-space";
import type { FeatureSet, QueueConfig } from "@virtspace/virtio";

/** A buffer that the device gave back. */
export interface UsedBuffer {
  /** What {@link RingDriver.add} returned for it. */
  readonly id: number;
  /** Bytes that the device says it wrote. */
  readonly written: number;
}

/** How a buffer is offered. */
export interface BufferOptions {
  /** Puts its descriptors into an indirect table at this address. */
  readonly table?: GuestAddress;
}

/** A driver of one queue, as a guest's kernel has it. */
export interface RingDriver {
  /** Descriptors. */
  readonly size: number;
  /** What was negotiated. */
  readonly features: FeatureSet;
  /** Bytes that the rings take from their base. */
  readonly bytes: number;
  /** What the device is told of the queue. */
  config(index: number): QueueConfig;
  /**
   * Offers a buffer; the device does not see it before {@link publish}.
   *
   * @returns its id; undefined where there are not enough free descriptors
   */
  add(readable: readonly GuestRange[], writable: readonly GuestRange[], options?: BufferOptions): number | undefined;
  /** Shows the device what was offered. @returns whether it wants to be notified */
  publish(): boolean;
  /** Takes back what the device used; undefined where there is nothing. */
  used(): UsedBuffer | undefined;
  /** Says whether interrupts are wanted. @returns whether something was used before it was said */
  wantInterrupts(wanted: boolean): boolean;
}

/** Where a driver puts its rings. */
export interface RingPlace {
  /** The first address; aligned to 4096. */
  readonly base: GuestAddress;
  /** Descriptors. */
  readonly size: number;
  /** What was negotiated. */
  readonly features: FeatureSet;
}

/** More follows. */
export const DESC_NEXT = 1;
/** For the device to write. */
export const DESC_WRITE = 2;
/** A table. */
export const DESC_INDIRECT = 4;

/** Rounds up. */
export const aligned = (value: number, to: number): number => Math.ceil(value / to) * to;

/** A piece of a buffer, with the flag that says whose it is to write. */
export interface BufferPart extends GuestRange {
  /** WRITE, or none. */
  readonly flags: number;
}

/** The pieces of a buffer in the order of their descriptors: those for the device to read come first. */
export function partsOf(readable: readonly GuestRange[], writable: readonly GuestRange[]): BufferPart[] {
  return [...readable.map((range) => ({ ...range, flags: 0 })), ...writable.map((range) => ({ ...range, flags: DESC_WRITE }))];
}
