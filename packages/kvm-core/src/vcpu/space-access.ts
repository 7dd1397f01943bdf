/** Performs a vCPU's accesses on a memory space and a port space. @module */
import type { GuestAddress, MemoryAccess, VirtAddressSpace } from "@virtspace/virt-address-space";
import { Access, type GuestAccess, type Perform } from "./exit-channel.ts";

/** Where nothing is mapped all bits read as 1, and writes are lost. */
const ALL_ONES = 0xffff_ffff;

/** Makes what performs accesses in the thread that has these spaces. */
export function performerOf(memory: VirtAddressSpace, ports: VirtAddressSpace): Perform {
  const [memoryAccess, portAccess] = [memory.access(), ports.access()];
  return (access) => {
    const space = access.kind === Access.readPort || access.kind === Access.writePort ? portAccess : memoryAccess;
    if (access.kind === Access.readPort || access.kind === Access.readMemory) read(space, access);
    else write(space, access);
  };
}

function read(space: MemoryAccess, access: GuestAccess): void {
  const address = access.address as GuestAddress;
  access.high = 0;
  if (access.size === 1) access.low = space.readU8(address) ?? 0xff;
  else if (access.size === 2) access.low = space.readU16(address) ?? 0xffff;
  else if (access.size === 4) access.low = space.readU32(address) ?? ALL_ONES;
  else if (access.size === 8) setValue(access, space.readBigU64(address) ?? 0xffff_ffff_ffff_ffffn);
  else setValue(access, bytesAt(space, address, access.size));
}

function write(space: MemoryAccess, access: GuestAccess): void {
  const { size, low, high } = access;
  const address = access.address as GuestAddress;
  if (size === 1) space.writeU8(address, low & 0xff);
  else if (size === 2) space.writeU16(address, low & 0xffff);
  else if (size === 4) space.writeU32(address, low);
  else if (size === 8) space.writeBigU64(address, (BigInt(high) << 32n) | BigInt(low));
  else {
    const value = (BigInt(high) << 32n) | BigInt(low);
    for (let i = 0; i < size; i++) space.writeU8((address + i) as GuestAddress, Number((value >> BigInt(8 * i)) & 0xffn));
  }
}

/** The kernel cuts an access at the end of a page: 3, 5, 6 or 7 bytes may come. */
function bytesAt(space: MemoryAccess, address: GuestAddress, size: number): bigint {
  let value = 0n;
  for (let i = 0; i < size; i++) value |= BigInt(space.readU8((address + i) as GuestAddress) ?? 0xff) << BigInt(8 * i);
  return value;
}

function setValue(access: GuestAccess, value: bigint): void {
  access.low = Number(value & 0xffff_ffffn);
  access.high = Number(value >> 32n);
}
