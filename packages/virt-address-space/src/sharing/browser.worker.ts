/** {@link serve} in a worker of a browser. */
import { type Request, serve } from "./scenario.worker.ts";

const scope = globalThis as unknown as {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: { data: Request }) => void): void;
};
const handle = serve({ post: (message) => scope.postMessage(message) });
scope.addEventListener("message", ({ data }) => void handle(data));
