/** A worker that has nothing else to do than to echo, in poll(2), until it is woken. */
import { parentPort, workerData } from "node:worker_threads";
import { BlockingPoller, Fd, UnixSocket } from "../index.ts";

const { wake, socket: number, forever } = workerData as { wake: number; socket: number; forever: boolean };
using poller = new BlockingPoller({ wake });
using socket = new UnixSocket(Fd.copyOf(number).release());
const target = new Uint8Array(64);
let echoed = 0;
using watch = poller.watch(socket, { readable: true }, () => {
  const received = socket.receive(target);
  if (received === undefined || received.length === 0) return watch.change({});
  socket.send(target.subarray(0, received.length));
  echoed++;
});
parentPort?.postMessage({ own: [poller.wakeFd.number, socket.number] });
while (forever || poller.run(60_000) !== "woken") if (forever) poller.run(60_000);
parentPort?.postMessage({ echoed });
