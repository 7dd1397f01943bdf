/** Devices, as a machine's description has them. @module */
import type { NetworkBackend } from "@virtspace/network";
import type { VirtioDevice } from "@virtspace/virtio";
import { VirtioNet, type VirtioNetOptions } from "@virtspace/virtio-net";

/** What a device is made with. */
export interface DeviceSurroundings {
  /** The machine's name. */
  readonly machine: string;
  /** What a network is plugged through: a capture, where one is wanted. */
  readonly network: (backend: NetworkBackend) => NetworkBackend;
}

/** A device of a machine, to be made when the machine is. */
export interface MachineDevice {
  /** For people. */
  readonly name: string;
  /** Makes it. */
  create(surroundings: DeviceSurroundings): VirtioDevice;
}

/** A network card. */
export function virtioNet(options: VirtioNetOptions): MachineDevice {
  const { name = "net", backend } = options;
  return { name, create: ({ network }) => new VirtioNet({ ...options, name, backend: network(backend) }) };
}
