/**
 * Two QEMU guests on one switch: `node examples/two-qemu-guests/main.ts [FOLDER]` listens at a socket for each, in a folder that is
 * there, or in a new one. SIGINT or SIGTERM ends it.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { VhostUserServer } from "@virtspace/vhost-user";
import { silentLogger } from "@virtspace/virtio";
import { VirtioNet } from "@virtspace/virtio-net";
import { qemuCommand } from "./qemu-command.ts";

const GUESTS = [
  { name: "one", mac: "52:54:00:00:00:01" },
  { name: "two", mac: "52:54:00:00:00:02" },
];
const SECOND = 1000;
const log = { ...silentLogger, warn: console.warn, error: console.error };

/** Serves in a folder until it is to stop. */
async function serve(folder: string, stop: Promise<void>): Promise<void> {
  using stack = new DisposableStack();
  const network = new LearningSwitch();
  stack.use(new Gateway(network, { address: "10.0.2.2" }));
  const cards = new Map<string, VirtioNet>();
  for (const { name, mac } of GUESTS) {
    const path = join(folder, `${name}.sock`);
    const server = VhostUserServer.listen({
      path,
      log,
      device: () => new VirtioNet({ backend: network, name, mac }), // one for each front-end that comes
      onJoin: ({ device, pid }) => {
        cards.set(name, device as VirtioNet);
        console.log(`${name} joined: process ${pid}`);
      },
      onLeave: (_guest, error) => {
        cards.delete(name);
        console.log(`${name} left${error === undefined ? "" : `: ${error.message}`}`);
      },
    });
    stack.use(server);
    console.log(`${name} is waited for at ${path}\n    ${qemuCommand({ path, mac })}`);
  }
  console.log("each guest lacks only what it boots: -kernel and -initrd, or -drive");

  let said = "";
  const timer = setInterval(() => {
    const line = framesText(cards);
    if (line !== said && line !== "") console.log(`frames: ${line}`);
    said = line;
  }, SECOND);
  stack.defer(() => clearInterval(timer));
  await stop;
}

/** What went through the switch, by guests. */
function framesText(cards: ReadonlyMap<string, VirtioNet>): string {
  const counts = Array.from(cards, ([name, { portCounters }]) => {
    const { sentFrames, receivedFrames } = portCounters;
    return `${name} sent ${sentFrames} and received ${receivedFrames}`;
  });
  return counts.join(", ");
}

const stopped = Promise.withResolvers<void>();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.resolve());
try {
  const [folder = mkdtempSync(join(tmpdir(), "two-guests-"))] = process.argv.slice(2);
  await serve(folder, stopped.promise);
  console.log("stopped");
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
