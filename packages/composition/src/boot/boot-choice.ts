/** What a machine boots. @module */
import type { X86Registers } from "@virtspace/hypervisor";
import {
  type FlatPlace,
  type LinuxOptions,
  loadFlat,
  loadLinux,
  loadMultiboot,
  type MultibootOptions,
  writeAcpiTables,
} from "@virtspace/pc-platform";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import { type BridgeSlot, bridgeArgument, DEVICE_BYTES, type DeviceSlot, deviceArgument } from "../device/device-slots.ts";

/** What a guest may want to be told of its machine. */
export interface MachineLayout {
  /** How many vCPUs it has. */
  readonly vcpus: number;
  /** Where its virtio devices are. */
  readonly devices: readonly DeviceSlot[];
  /** Where the bridge of its virtual bus is; undefined where it has none. */
  readonly bridge?: BridgeSlot | undefined;
}

/** A guest, to be loaded. */
export interface BootChoice {
  /** For people. */
  readonly name: string;
  /**
   * Writes the guest into its memory.
   *
   * @returns what the first vCPU begins with
   */
  load(memory: VirtAddressSpace, machine: MachineLayout): Partial<X86Registers>;
}

/** A multiboot image. Where its devices are is added to its command line, as Linux takes it. */
export function multiboot(image: Uint8Array, options: MultibootOptions = {}): BootChoice {
  const { commandLine = "kernel" } = options;
  return {
    name: commandLine,
    load: (memory, { devices, bridge }) => {
      const places = [...devices.map(deviceArgument), ...(bridge === undefined ? [] : [bridgeArgument(bridge)])];
      return loadMultiboot(memory, image, { ...options, commandLine: [commandLine, ...places].join(" ") });
    },
  };
}

/**
 * A Linux kernel (bzImage) of 64 bits. It is told of its machine by ACPI tables. It wants a hypervisor that runs long mode with
 * paging, which v86 doesn't.
 */
export function linux(kernel: Uint8Array, options: Omit<LinuxOptions, "acpi"> = {}): BootChoice {
  return {
    name: "linux",
    load: (memory, { vcpus, devices }) => {
      const virtio = devices.map(({ base, irq }) => ({ base, irq, size: DEVICE_BYTES }));
      return loadLinux(memory, kernel, { ...options, acpi: writeAcpiTables(memory, { vcpus, virtio }) });
    },
  };
}

/** Bytes for an address. They are told nothing. */
export function flat(image: Uint8Array, place: FlatPlace): BootChoice {
  return { name: "flat image", load: (memory) => loadFlat(memory, image, place) };
}
