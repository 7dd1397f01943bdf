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
// The first one brings what all share.
stack.use(await FrontEnd.started(path));
const heap = (): number => {
  gc?.();
  return process.memoryUsage().heapUsed;
};
const before = heap();
for (let i = 1; i < CONNECTIONS; i++) stack.use(await FrontEnd.started(path));
const each = (heap() - before) / (CONNECTIONS - 1);
await wait(500);
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
