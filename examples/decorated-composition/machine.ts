/** The machine: a card that is a class, in a time of its own, with a log of its own. */
import { defaultMachineHost, defineMachine, injected, type MachineDescription, multiboot, Service, v86 } from "@virtspace/composition";
import { guestImage } from "@virtspace/conformance/guests";
import { MiB } from "@virtspace/virt-address-space";
import { ContainerModule } from "inversify";
import { DatedLog } from "./dated-log.ts";
import { FrameTeller } from "./frame-teller.ts";
import { TalkativeCard } from "./talkative-card.ts";

/** Its day begins with the thread of 2009. */
const DAY = Date.UTC(2009, 9, 5);
const begun = defaultMachineHost.now();

/** Loaded into the machine's own container, behind the parts that are there: `rebind` takes the place of one. */
const parts = new ContainerModule(({ bind, rebind }) => {
  rebind(Service.Host).toConstantValue({ ...defaultMachineHost, time: () => DAY + defaultMachineHost.now() - begun });
  rebind(Service.Log).to(DatedLog).inSingletonScope();
  bind(FrameTeller).toSelf();
});

export const machine: MachineDescription = defineMachine({
  memory: 4 * MiB,
  hypervisor: v86(),
  devices: [injected("net", TalkativeCard)],
  modules: [parts],
  boot: multiboot(guestImage("net"), { commandLine: "net ping=4 udp=100 exit" }),
});
