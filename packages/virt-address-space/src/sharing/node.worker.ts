/** {@link serve} in a thread of Node. */
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import { type Request, serve } from "./scenario.worker.ts";

const port = parentPort;
if (port === null) throw new Error("this runs as a worker");
const handle = serve({ post: (message) => port.postMessage(message), receive: receiveMessageOnPort });
port.on("message", (request: Request) => void handle(request));
