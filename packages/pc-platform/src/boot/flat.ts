/** Loads a flat image: bytes for an address, which begin in 32-bit protected mode. @module */
import { flat32, type X86Registers } from "@virtspace/hypervisor";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import { writeInto } from "./guest-room.ts";

/** Where an image goes. */
export interface FlatPlace {
  /** The address of its first byte. */
  readonly address: number;
  /** Where it begins; at its first byte unless given. */
  readonly entry?: number;
}

/**
 * Writes an image into a guest's memory.
 *
 * @returns what the first vCPU begins with
 * @throws {@link PcPlatformError} `no-room`
 */
export function loadFlat(space: VirtAddressSpace, image: Uint8Array, { address, entry = address }: FlatPlace): Partial<X86Registers> {
  writeInto(space, address, image);
  return flat32(entry);
}
