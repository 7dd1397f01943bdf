/** What a machine boots. @module */
import type { X86Registers } from "@virtspace/hypervisor";
import { type FlatPlace, loadFlat, loadMultiboot, type MultibootOptions } from "@virtspace/pc-platform";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";

/** A guest, to be loaded. */
export interface BootChoice {
  /** For people. */
  readonly name: string;
  /**
   * Writes the guest into its memory.
   *
   * @param args - what the guest has to be told of the machine, as words of a command line
   * @returns what the first vCPU begins with
   */
  load(memory: VirtAddressSpace, args: readonly string[]): Partial<X86Registers>;
}

/** A multiboot image. Where its devices are is added to its command line, as Linux takes it. */
export function multiboot(image: Uint8Array, options: MultibootOptions = {}): BootChoice {
  const { commandLine = "kernel" } = options;
  return {
    name: commandLine,
    load: (memory, args) => loadMultiboot(memory, image, { ...options, commandLine: [commandLine, ...args].join(" ") }),
  };
}

/** Bytes for an address. They are told nothing. */
export function flat(image: Uint8Array, place: FlatPlace): BootChoice {
  return { name: "flat image", load: (memory) => loadFlat(memory, image, place) };
}
