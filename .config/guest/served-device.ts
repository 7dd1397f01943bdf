/** A device of a file, served by `virtspace serve` as a process of its own, and what of QEMU's command line a guest with it is. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HelperProgram } from "./helper-program.ts";
import type { Machine } from "./machine.ts";

const COMMAND = join(import.meta.dirname, "../../packages/cli/src/main.ts");
const LIFETIME = 300_000;

/** A device that guests can have. */
export interface ServedDevice extends AsyncDisposable {
  /** Where it listens. */
  readonly socket: string;
  /** What the command said last. */
  readonly said: string;
  /** Kills the command, in the midst of whatever it does, and starts it anew at the same place. */
  restart(): Promise<void>;
  /**
   * QEMU's arguments for a guest with the device.
   *
   * @param frontEnd - QEMU's front-end of that kind of device, without the bus: `vhost-user-rng`
   * @param properties - of the front-end
   */
  qemu(frontEnd: string, machine: Machine, properties?: Readonly<Record<string, string | number>>): string[];
}

/** Serves a file's device. @param environment - variables for it @param options - for the command */
export async function servedDevice(
  file: string,
  environment: Readonly<Record<string, string>> = {},
  options: readonly string[] = [],
): Promise<ServedDevice> {
  const folder = await mkdtemp(join(tmpdir(), "served-"));
  const socket = join(folder, "socket");
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const words = ["env", ...variables, process.execPath, COMMAND, "serve", file, "--socket", socket, ...options];
  const start = (): Promise<HelperProgram> => HelperProgram.start(words, LIFETIME, (said) => said.includes("listening at"));
  let program = await start();
  return {
    socket,
    get said() {
      return program.said;
    },
    restart: async () => {
      await program[Symbol.asyncDispose]();
      program = await start();
    },
    qemu: (frontEnd, machine, properties = {}) => {
      const onPci = machine === "q35";
      // With any MSI-X vectors QEMU 7.2 crashes when a driver of a vhost-user device starts without KVM.
      const all = { chardev: "device", ...(onPci && { vectors: 0 }), ...properties };
      const words_ = [onPci ? `${frontEnd}-pci` : frontEnd, ...Object.entries(all).map(([name, value]) => `${name}=${value}`)];
      // This front-end wants its device there at once, and ends QEMU 7.2 if it would rather wait.
      const reconnect = frontEnd === "vhost-user-rng" ? "" : ",reconnect=1";
      return ["-chardev", `socket,id=device,path=${socket}${reconnect}`, "-device", words_.join(",")];
    },
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
