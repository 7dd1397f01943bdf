/** Datagrams from a guest to its gateway and back, one at a time, on both engines: the same guest, the same card. */
import { guestImage } from "@virtspace/conformance/guests";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";
import { type Row, report } from "../../../.config/bench/measure.ts";
import { kvmRefusal } from "../../../.config/kvm/kvm-here.ts";
import { boot, type HypervisorChoice, kvm, multiboot, v86, virtioNet } from "./index.ts";

const DATAGRAMS = 3000;
const ROUNDS = 5;

/** Round trips a second. */
async function rate(hypervisor: HypervisorChoice, rings: "split" | "packed"): Promise<number> {
  const network = new LearningSwitch();
  using _gateway = new Gateway(network, { address: "10.0.2.2" });
  let text = "";
  let [start, end] = [0, 0];
  const onConsole = (byte: number): void => {
    text += String.fromCharCode(byte);
    if (text.endsWith("ping 1: answered\n")) start = performance.now();
    if (text.endsWith("came back\n")) end = performance.now();
  };
  await using machine = await boot(
    {
      memory: 4 * MiB,
      hypervisor,
      devices: [virtioNet({ backend: network, mac: "52:54:00:12:34:56" })],
      boot: multiboot(guestImage("net"), { commandLine: `net ping=1 udp=${DATAGRAMS} exit ${rings}` }),
    },
    { onConsole },
  );
  const outcome = await machine.outcome;
  if (outcome.reason !== "left" || outcome.status !== 0) throw new Error(`the guest failed: ${JSON.stringify(outcome)} ${text}`);
  return (DATAGRAMS * 1000) / (end - start);
}

const rows: Row[] = [];
for (const hypervisor of [v86(), kvm()]) {
  for (const rings of ["split", "packed"] as const) {
    const what = `${hypervisor.name}, ${rings} rings`;
    if (hypervisor.name === "kvm" && kvmRefusal !== undefined) {
      rows.push({ what, median: "no /dev/kvm here" });
      continue;
    }
    const samples: number[] = [];
    for (let round = 0; round < ROUNDS; round++) samples.push(await rate(hypervisor, rings));
    samples.sort((a, b) => a - b);
    rows.push({ what, median: `${Math.round(samples[samples.length >> 1] as number)} a second` });
  }
}
report("UDP echo, from a guest to its gateway and back", rows);
