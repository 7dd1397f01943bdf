/** Room in a guest's memory for what a loader writes. @module */
import { gpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { PcPlatformError } from "../error/pc-platform-error.ts";

/** Sees to it that a run of addresses is memory that the guest can write. @throws {@link PcPlatformError} `no-room` */
export function requireRoom(space: VirtAddressSpace, address: number, length: number): void {
  let room = 0;
  space.view().forEachPart(address, length, (range, _offset, part) => {
    if (range.writable) room += part;
  });
  if (room === length) return;
  throw new PcPlatformError(
    "no-room",
    `the guest has no memory for ${length} bytes at 0x${address.toString(16)}: map more, or load elsewhere`,
  );
}

/** Writes bytes, and zeros behind them. @throws {@link PcPlatformError} `no-room`; nothing is written then */
export function writeInto(space: VirtAddressSpace, address: number, bytes: Uint8Array, zeros = 0): void {
  requireRoom(space, address, bytes.length + zeros);
  space.copyTo(gpa(address), bytes);
  space.fill(gpa(address + bytes.length), zeros, 0);
}
