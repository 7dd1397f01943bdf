/**
 * A machine with two network cards, a virtio-net and a venet, whose guest gets addresses and pings its gateway through both. One word
 * changes what runs it: v86() or kvm().
 */
import { defineMachine, type MachineDescription, multiboot, v86, venet, virtioNet } from "@virtspace/composition";
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";

/** The network that both cards are plugged into. */
const network = new LearningSwitch();
/** What answers on it: ARP, DHCP, ping and UDP echo. */
export const gateway: Gateway = new Gateway(network, { address: "10.0.2.2" });

const machine: MachineDescription = defineMachine({
  name: "quickstart",
  memory: 16 * MiB,
  hypervisor: v86(),
  devices: [virtioNet({ backend: network, mac: "52:54:00:12:34:56" }), venet({ backend: network, mac: "52:54:00:12:34:57" })],
  boot: multiboot(guestImage("net"), { commandLine: "net ping=4 udp=1000 exit" }),
});
export default machine;
