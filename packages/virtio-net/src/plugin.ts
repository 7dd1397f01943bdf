/** The network card as a plug-in. @module */
import type { NetworkBackend } from "@virtspace/network";
import { type DeviceSurroundings, defineDevice, type VirtioPlugin } from "@virtspace/virtio";
import { VirtioNet, type VirtioNetOptions } from "./virtio-net.ts";

/** What a card is made with. */
export interface NetSurroundings extends DeviceSurroundings {
  /** What its network is plugged through: a capture, where one is wanted. */
  readonly network?: (backend: NetworkBackend) => NetworkBackend;
}

/** A network card, for a machine's description. */
export function virtioNet(options: VirtioNetOptions): VirtioPlugin {
  const { name = "net", backend } = options;
  return defineDevice({
    name,
    create: ({ network = (as) => as }: NetSurroundings) => new VirtioNet({ ...options, name, backend: network(backend) }),
  });
}
