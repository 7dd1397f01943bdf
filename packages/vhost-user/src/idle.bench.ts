/** What connections cost that do nothing: 64 front-ends with their cards and rings, and no traffic. */
import { setTimeout as wait } from "node:timers/promises";
import { LearningSwitch } from "@virtspace/network";
import { VirtioNet } from "@virtspace/virtio-net";
import { limitRow, type Row, report } from "../../../.config/bench/measure.ts";
import { Folder, FrontEnd } from "./front-end-scenarios.ts";
import { VhostUserServer } from "./index.ts";

const CONNECTIONS = 64;
const SECONDS = 5;
const gc = (globalThis as { gc?: () => void }).gc;

using folder = new Folder();
const network = new LearningSwitch();
const path = folder.at("net");
using server = VhostUserServer.listen({ path, device: (number) => new VirtioNet({ backend: network, mac: 0x5254_0000_0000 + number }) });
using stack = new DisposableStack();
const connect = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) stack.use(await FrontEnd.started(path));
};
/** What is left once all that start-up made has been collected. */
const heap = async (): Promise<number> => {
  for (let i = 0; i < 5; i++) {
    gc?.();
    await wait(100);
  }
  return process.memoryUsage().heapUsed;
};
// In groups, of which the median counts: now and then something else of the process is collected meanwhile.
const GROUP = 8;
const grown: number[] = [];
let before = await heap();
for (let connected = 0; connected < CONNECTIONS; connected += GROUP) {
  await connect(GROUP);
  const after = await heap();
  grown.push((after - before) / GROUP);
  before = after;
}
grown.sort((a, b) => a - b);
const each = grown[grown.length >> 1] as number;
const cpu = process.cpuUsage();
await wait(SECONDS * 1000);
const { user, system } = process.cpuUsage(cpu);
const share = (user + system) / (SECONDS * 1e6);
if (server.guests.length !== CONNECTIONS) throw new Error(`only ${server.guests.length} are connected`);
const rows: Row[] = [
  limitRow(`${CONNECTIONS} idle connections, of one core`, share * 100, 1, (value) => `${value.toFixed(2)} %`),
  { what: "heap of an idle connection, with the front-end's side of it", median: `${(each / 1024).toFixed(0)} KiB` },
];
report("vhost-user", rows);
process.exit();
