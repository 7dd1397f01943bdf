/** A worker of Node for the tests. */
import { Worker } from "node:worker_threads";
import type { TestWorker } from "./sharing-scenarios.ts";

/** Starts one. */
export function start(): TestWorker {
  const worker = new Worker(new URL("./node.worker.ts", import.meta.url));
  return {
    post: (message, transfer) => worker.postMessage(message, transfer as never),
    onMessage: (listener) => worker.on("message", listener),
    terminate: () => void worker.terminate(),
  };
}
