/** A machine whose guest streams datagrams through two network cards, first the one, then the other, and counts what comes back. */
import { defineMachine, type MachineDescription, multiboot, v86, venet, virtioNet } from "@virtspace/composition";
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";

/** How many through each card. */
export const DATAGRAMS = 1000;
/** The network stays where it is while the machine moves: a frame that has no room yet makes its sender wait, as a cable would. */
const network = new LearningSwitch({ whenFull: "wait" });
/** Answers on it. */
export const gateway: Gateway = new Gateway(network, { address: "10.0.2.2" });

const machine: MachineDescription = defineMachine({
  memory: 4 * MiB,
  hypervisor: v86(),
  devices: [virtioNet({ backend: network, mac: "52:54:00:12:34:56" }), venet({ backend: network, mac: "52:54:00:12:34:57" })],
  boot: multiboot(guestImage("net"), { commandLine: `net ping=2 udp=${DATAGRAMS} exit` }),
});
export default machine;
