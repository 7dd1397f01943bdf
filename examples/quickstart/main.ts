/**
 * What `start` runs: a machine is put together, its guest gets a lease and pings the gateway, by virtio-net and by venet, and leaves. Nothing of the host is needed;
 * `--hypervisor kvm` runs the same guest and the same cards on /dev/kvm.
 */
import { parseArgs } from "node:util";
import { compose, consoleLines, type HypervisorChoice, kvm, v86 } from "@virtspace/composition";
import { KvmError, openKvm } from "@virtspace/kvm-core";
import type { VirtioNet } from "@virtspace/virtio-net";
import description, { gateway } from "./machine.ts";

const LIMIT_MILLISECONDS = 20_000;
const CHOICES: Readonly<Record<string, () => HypervisorChoice>> = { v86, kvm };

const { values } = parseArgs({ options: { hypervisor: { type: "string", default: "v86" } } });
const choice = CHOICES[values.hypervisor];
if (choice === undefined) {
  console.error(`error: there is no hypervisor "${values.hypervisor}": give ${Object.keys(CHOICES).join(" or ")}`);
  process.exit(2);
}

const CARDS = ["virtio-net", "venet"] as const;
/** When each card's last ping was answered, and when its datagrams had come back. */
const pinged = { "virtio-net": 0, venet: 0 };
const echoed = { "virtio-net": 0, venet: 0 };
const onConsole = consoleLines((line) => {
  console.log(`  | ${line}`);
  const card = line.startsWith("venet: ") ? "venet" : "virtio-net";
  if (line.includes("ping ")) pinged[card] = performance.now();
  if (line.endsWith("datagrams came back")) echoed[card] = performance.now();
});

const hex = (address: number): string => `0x${address.toString(16).padStart(8, "0")}`;

try {
  const begun = performance.now();
  await using machine = await compose({ ...description, hypervisor: choice() }, { onConsole });
  const { memory, ports, hypervisor } = machine;
  console.log(`a machine on ${hypervisor.name}, put together in ${Math.round(performance.now() - begun)} ms`);
  for (const space of [memory, ports]) {
    console.log(`${space.name}, passed by descriptor, is held by ${space.holders.join(", ")}`);
    for (const { start, end, region } of space.view().ranges)
      console.log(`  ${hex(start)} - ${hex(end - 1)}  ${region.kind.padEnd(3)}  ${region.name}`);
  }
  if (machine.bus !== undefined) console.log(`the virtual bus\n${machine.bus.admin}`.trimEnd());
  console.log("the guest's console");
  machine.machine.run();
  const limit = AbortSignal.timeout(LIMIT_MILLISECONDS);
  const late = new Promise<never>((_resolve, reject) => {
    limit.addEventListener("abort", () => reject(new Error(`the guest did not leave within ${LIMIT_MILLISECONDS / 1000} seconds`)));
  });
  const outcome = await Promise.race([machine.outcome, late]);
  if (outcome.reason !== "left" || outcome.status !== 0)
    throw new Error(`the guest ended otherwise than it should: ${JSON.stringify(outcome)}`);

  const card = machine.devices.find(({ bus }) => bus === "virtio")?.device as VirtioNet;
  const [received, sent] = card.count();
  const { portAccesses, memoryAccesses, interrupts } = machine.machine.counters;
  console.log(`the guest left with status ${outcome.status}`);
  for (const name of CARDS) {
    const took = echoed[name] - pinged[name];
    if (took > 0) console.log(`  ${Math.round((1000 * 1000) / took)} round trips of UDP to the gateway a second through the ${name}`);
  }
  console.log(
    `  virtio-net: ${sent?.frames} frames sent, ${received?.frames} received; gateway: ${gateway.counters.echo} pings, ${gateway.counters.dhcp} DHCP messages`,
  );
  const { events = 0, qnotify = 0, inject = 0 } = machine.bus?.bridge.counters ?? {};
  console.log(`  vbus: ${events} events by ${qnotify} interrupts, ${inject} signals of the guest`);
  console.log(`  ${hypervisor.name}: ${memoryAccesses} accesses to memory windows, ${portAccesses} to ports, ${interrupts} interrupts`);
  console.log(await whatNext(hypervisor.name));
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

/** Whether the other hypervisor works here, and what to look at. */
async function whatNext(name: string): Promise<string> {
  const read = "\nNow read examples/quickstart/machine.ts: the machine is described there, and `pnpm virtspace run` takes such a file.";
  if (name === "kvm") return `The same guest and the same cards ran on the kernel's /dev/kvm.${read}`;
  try {
    using _opened = await openKvm();
    return `/dev/kvm works here: --hypervisor kvm runs the same guest and the same cards on it.${read}`;
  } catch (error) {
    if (!KvmError.is(error)) throw error;
    return `/dev/kvm can't be had here: ${error.message}.${read}`;
  }
}
