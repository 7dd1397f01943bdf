/** Programs that run beside the command in the tests of its backends: one that echoes, and passt. */
import { readFileSync } from "node:fs";
import { HelperProgram } from "../../../../.config/guest/helper-program.ts";

const LIFETIME = 110_000;

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
  const beside = await HelperProgram.start([...within, process.execPath, "-e", script], LIFETIME, (said) => said.endsWith("\n"));
  return { port: Number(beside.said), [Symbol.asyncDispose]: () => beside[Symbol.asyncDispose]() };
}

/** The network that {@link startPasst} gives to a guest. */
export const Passt = { guest: "10.9.0.2", gateway: "10.9.0.1", mtu: 65_520 } as const;

/** passt, for one client that connects at a path. As root it would become a user who may not make the path. */
export function startPasst(path: string): Promise<HelperProgram> {
  const user = process.getuid?.() === 0 ? ["--runas", "0"] : [];
  const lease = ["--address", Passt.guest, "--netmask", "24", "--gateway", Passt.gateway, "--mtu", `${Passt.mtu}`, "--dns", "none"];
  const command = ["passt", "--foreground", "--one-off", "--ipv4-only", ...user, ...lease, "--socket", path];
  return HelperProgram.start(command, LIFETIME, () => isListening(path));
}

/** Whether somebody listens at a path, which is asked without disturbing him. */
function isListening(path: string): boolean {
  const LISTENS = "00010000";
  const sockets = readFileSync("/proc/net/unix", "utf8").split("\n");
  return sockets.some((line) => line.endsWith(` ${path}`) && line.split(/\s+/)[3] === LISTENS);
}
