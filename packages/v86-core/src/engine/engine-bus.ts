/** What the engine calls for accesses that are not to its own memory. @module */

/** Accesses by physical address. Nothing here throws: an exception in the midst of the engine's code would leave it half done. */
export interface EngineBus {
  readMemory8(address: number): number;
  readMemory32(address: number): number;
  writeMemory8(address: number, value: number): void;
  writeMemory16(address: number, value: number): void;
  writeMemory32(address: number, value: number): void;
  readPort8(port: number): number;
  readPort16(port: number): number;
  readPort32(port: number): number;
  writePort8(port: number, value: number): void;
  writePort16(port: number, value: number): void;
  writePort32(port: number, value: number): void;
}

/** Nothing is there: what an engine has before a machine is made, and after it. */
export const NO_BUS: EngineBus = {
  readMemory8: () => 0xff,
  readMemory32: () => 0xffff_ffff,
  writeMemory8() {},
  writeMemory16() {},
  writeMemory32() {},
  readPort8: () => 0xff,
  readPort16: () => 0xffff,
  readPort32: () => 0xffff_ffff,
  writePort8() {},
  writePort16() {},
  writePort32() {},
};
