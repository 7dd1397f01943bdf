/** The bus's network card as a plug-in. @module */
import type { NetworkBackend } from "@virtspace/network";
import { defineVbusDevice, type VbusDeviceSurroundings, type VbusPlugin } from "../plugin/define-vbus-device.ts";
import { Venet, type VenetOptions } from "./venet.ts";

/** What a card is made with. */
export interface VenetSurroundings extends VbusDeviceSurroundings {
  /** What its network is plugged through: a capture, where one is wanted. */
  readonly network?: (backend: NetworkBackend) => NetworkBackend;
}

/** A network card, for a machine's description. */
export function venet(options: VenetOptions): VbusPlugin {
  const { name = "venet", backend } = options;
  return defineVbusDevice({
    name,
    create: ({ network = (as) => as }: VenetSurroundings) => new Venet({ ...options, name, backend: network(backend) }).device,
  });
}
