/** Brings the engine's accesses to a memory space and a port space. @module */
import type { GuestAddress, MemoryAccess, VirtAddressSpace } from "@virtspace/virt-address-space";
import type { EngineBus } from "../engine/engine-bus.ts";

/** A bus on two spaces. Where nothing is mapped all bits read as 1, and writes are lost. */
export class SpaceBus implements EngineBus {
  readonly #memory: MemoryAccess;
  readonly #ports: MemoryAccess;
  memoryAccesses = 0;
  portAccesses = 0;

  constructor(memory: VirtAddressSpace, ports: VirtAddressSpace) {
    this.#memory = memory.access();
    this.#ports = ports.access();
  }

  readMemory8(address: number): number {
    this.memoryAccesses++;
    return this.#memory.readU8(address as GuestAddress) ?? 0xff;
  }

  readMemory32(address: number): number {
    this.memoryAccesses++;
    return this.#memory.readU32(address as GuestAddress) ?? 0xffff_ffff;
  }

  writeMemory8(address: number, value: number): void {
    this.memoryAccesses++;
    this.#memory.writeU8(address as GuestAddress, value);
  }

  writeMemory16(address: number, value: number): void {
    this.memoryAccesses++;
    this.#memory.writeU16(address as GuestAddress, value);
  }

  writeMemory32(address: number, value: number): void {
    this.memoryAccesses++;
    this.#memory.writeU32(address as GuestAddress, value);
  }

  readPort8(port: number): number {
    this.portAccesses++;
    return this.#ports.readU8(port as GuestAddress) ?? 0xff;
  }

  readPort16(port: number): number {
    this.portAccesses++;
    return this.#ports.readU16(port as GuestAddress) ?? 0xffff;
  }

  readPort32(port: number): number {
    this.portAccesses++;
    return this.#ports.readU32(port as GuestAddress) ?? 0xffff_ffff;
  }

  writePort8(port: number, value: number): void {
    this.portAccesses++;
    this.#ports.writeU8(port as GuestAddress, value);
  }

  writePort16(port: number, value: number): void {
    this.portAccesses++;
    this.#ports.writeU16(port as GuestAddress, value);
  }

  writePort32(port: number, value: number): void {
    this.portAccesses++;
    this.#ports.writeU32(port as GuestAddress, value);
  }
}
