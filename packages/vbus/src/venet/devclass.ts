/** The bus's network card as a class, for administration. @module */
import type { NetworkBackend } from "@virtspace/network";
import type { VbusDevclass } from "../device/vbus-devclass.ts";
import { Venet } from "./venet.ts";

/** Addresses that nobody else owns begin with this. */
const MACS = 0x5254_00ff_0000;

/** Cards on a network: each has an address of its own until `client_mac` says another one. */
export function venetDevclass(backend: NetworkBackend): VbusDevclass {
  let count = 0;
  return { name: "venet", create: (name) => new Venet({ backend, name, mac: MACS + ++count }).device };
}
