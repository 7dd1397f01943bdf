/** Programs that run beside the command in the tests of its backends: one that echoes, and passt. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LIFETIME = 110_000;
const PATIENCE = 10_000;

/** A program that ends with the test. */
export class Beside implements AsyncDisposable {
  /** Both of its outputs. */
  said = "";
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(command: readonly string[]) {
    // It ends with its parent, and after a time in any case.
    this.#process = spawn("setpriv", ["--pdeathsig", "KILL", ...command], { timeout: LIFETIME, killSignal: "SIGKILL" });
    this.#ended = once(this.#process, "close");
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.on("data", (data) => (this.said += data));
  }

  /** Starts one, and waits until it is of use; throws what it said where it ends before. */
  static async start(command: readonly string[], isReady: (said: string) => boolean): Promise<Beside> {
    const beside = new Beside(command);
    for (const end = performance.now() + PATIENCE; performance.now() < end; await sleep(10)) {
      if (isReady(beside.said)) return beside;
      if (beside.#process.exitCode !== null) break;
    }
    await beside[Symbol.asyncDispose]();
    throw new Error(`${command.join(" ")}: ${beside.said.trim()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }
}

/**
 * An HTTP server that answers with what was posted, once it has all of it: a connection on which both sides stream at once, or
 * one side has ended, can stall in passt (of 2023), whoever its client is.
 */
export interface Echo extends AsyncDisposable {
  readonly port: number;
}

/** @param within - a command that becomes what it is given, as `nsenter` into a network namespace does */
export async function startEcho(address: string, within: readonly string[] = []): Promise<Echo> {
  const script = `
    const { buffer } = require("node:stream/consumers");
    const server = require("node:http").createServer(async (request, answer) => answer.end(await buffer(request)));
    server.listen(0, "${address}", () => console.log(server.address().port));`;
  const beside = await Beside.start([...within, process.execPath, "-e", script], (said) => said.endsWith("\n"));
  return { port: Number(beside.said), [Symbol.asyncDispose]: () => beside[Symbol.asyncDispose]() };
}

/** The network that {@link startPasst} gives to a guest. */
export const Passt = { guest: "10.9.0.2", gateway: "10.9.0.1", mtu: 65_520 } as const;

/** passt, for one client that connects at a path. As root it would become a user who may not make the path. */
export function startPasst(path: string): Promise<Beside> {
  const user = process.getuid?.() === 0 ? ["--runas", "0"] : [];
  const lease = ["--address", Passt.guest, "--netmask", "24", "--gateway", Passt.gateway, "--mtu", `${Passt.mtu}`, "--dns", "none"];
  const command = ["passt", "--foreground", "--one-off", "--ipv4-only", ...user, ...lease, "--socket", path];
  return Beside.start(command, () => isListening(path));
}

/** Whether somebody listens at a path, which is asked without disturbing him. */
function isListening(path: string): boolean {
  const LISTENS = "00010000";
  const sockets = readFileSync("/proc/net/unix", "utf8").split("\n");
  return sockets.some((line) => line.endsWith(` ${path}`) && line.split(/\s+/)[3] === LISTENS);
}
