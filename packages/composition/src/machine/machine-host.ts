/** The clock and the event loop of a machine's parts: one object for all of them. @module */
import { defaultPcHost, type PcHost } from "@virtspace/pc-platform";
import { defaultVirtioHost, type VirtioHost } from "@virtspace/virtio";

/** Time, and later turns of the event loop: replaced, a machine lives in a time of its own. */
export interface MachineHost extends VirtioHost, PcHost {}

/** Those of the host. */
export const defaultMachineHost: MachineHost = { ...defaultPcHost, ...defaultVirtioHost };
