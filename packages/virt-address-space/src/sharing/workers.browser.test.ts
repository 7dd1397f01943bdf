import { expect, test } from "vitest";
import { sharingScenarios, type TestWorker } from "./sharing-scenarios.ts";

interface DomWorker {
  postMessage(message: unknown, transfer: readonly unknown[]): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  terminate(): void;
}

declare const Worker: new (url: URL, options: { type: "module" }) => DomWorker;

function start(): TestWorker {
  const worker = new Worker(new URL("./browser.worker.ts", import.meta.url), { type: "module" });
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    onMessage: (listener) => worker.addEventListener("message", ({ data }) => listener(data)),
    terminate: () => worker.terminate(),
  };
}

test("the page is isolated, so that it has shared memory", () => {
  expect((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated).toBe(true);
});

sharingScenarios(start);
