/** The command line: what there is, what it takes, and how it ends. @module */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CompositionError } from "@virtspace/composition";
import { HostLinuxError } from "@virtspace/host-linux";
import { HypervisorError } from "@virtspace/hypervisor";
import { KvmError } from "@virtspace/kvm-core";
import { PcPlatformError } from "@virtspace/pc-platform";
import { VbusError } from "@virtspace/vbus";
import { VhostUserError } from "@virtspace/vhost-user";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { createLogUpdate } from "log-update";
import { CaptureFileError } from "./capture/capture-file.ts";
import { examine } from "./doctor/doctor.ts";
import { BUSES, NewDeviceError, newDevice } from "./new/new-device.ts";
import { jsonReporter, type LiveArea, type Output, type Reporter, textReporter } from "./report/reporter.ts";
import { HYPERVISORS, type RunOptions, runMachine } from "./run/run-machine.ts";
import { BackendChoiceError } from "./serve/backend-choice.ts";
import { PluginFileError } from "./serve/plugin-file.ts";
import { serveDevice } from "./serve/serve-device.ts";
import type { ServeOptions } from "./serve/serve-guests.ts";
import { type ServeNetOptions, serveNet } from "./serve/serve-net.ts";
import { type ShowBusOptions, showBus } from "./vbus/show-bus.ts";

/** Exit codes. */
export const Exit = {
  /** It was stopped, or had nothing more to do. */
  Ok: 0,
  /** Something could not be had. */
  Failed: 1,
  /** The command line makes no sense. */
  Usage: 2,
} as const;

/** What a program has around it. */
export interface Surroundings {
  /** Where it says what happens. */
  readonly stdout: Output;
  /** Where it says what went wrong. */
  readonly stderr: Output;
  /** What is typed, for a guest's console. */
  readonly stdin?: NodeJS.ReadableStream;
  /** Raised when it is to stop. */
  readonly signal: AbortSignal;
  /** The time. */
  now(): Date;
  /** Tells of what nobody catches, in place of the process's end, until it is disposed. */
  uncaught?(tell: (error: unknown) => void): Disposable;
}

const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`);
    return value;
  };

const gather = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Runs a command line. @returns the exit code */
export async function run(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { stdout, stderr, stdin, signal } = surroundings;
  let status: number = Exit.Ok;
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { readonly version: string };
  const program = new Command("virtspace")
    .version(version)
    .description("Devices and machines on a guest memory that belongs to nobody.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) });
  const serve = program.command("serve").description("serve a device to QEMU and other front-ends over vhost-user");
  withSockets(serve.command("net").description("serve network cards"))
    .addHelpText("after", EXAMPLES)
    .option("-b, --backend <network>", "switch, loopback, tap:NAME, stream:PATH, listen:PATH or dgram:LOCAL:REMOTE", "switch")
    .addOption(
      new Option("--when-full <what>", "what becomes of a frame for a guest without room: drop, wait, or wait for one that keeps pace")
        .choices(["drop", "wait", "pace"])
        .default("pace"),
    )
    .option("-g, --gateway <address>", "add a gateway that answers ARP, ping, DHCP and UDP echo")
    .option("--pcap <file>", "write what goes through to a pcapng file")
    .addOption(new Option("-q, --queues <pairs>", "pairs of queues that each card has").default(1).argParser(wholeNumber(1, 128)))
    .addOption(new Option("--queue-size <entries>", "the most descriptors of a queue").default(1024).argParser(wholeNumber(2, 32768)))
    .addOption(new Option("--mtu <bytes>", "the largest payload of a frame, told to guests").argParser(wholeNumber(68, 65535)))
    .action(async (options: ServeNetOptions & { json: boolean }) => {
      await serveNet(options, reporterFor(options.json, surroundings), signal);
    });
  withSockets(serve.command("device <file>", { isDefault: true }))
    .usage("<file> [options]")
    .description("serve the device that a file exports (export default defineDevice({ ... })); the word device may be left out")
    .addHelpText("after", DEVICE_EXAMPLE)
    .action(async (file: string, options: ServeOptions & { json: boolean }) => {
      await serveDevice(file, options, { ...surroundings, reporter: reporterFor(options.json, surroundings) });
    });
  program
    .command("run <machine>")
    .description("run the machine that a file describes (export default defineMachine({ ... })), with its console here")
    .addHelpText("after", RUN_EXAMPLE)
    .addOption(new Option("--hypervisor <name>", "run it on another one than it says").choices(Object.keys(HYPERVISORS)))
    .option("--pcap <file>", "write what goes through its networks to a pcapng file")
    .option("--json", "say what happens as an object a line", false)
    .action(async (file: string, options: RunOptions) => {
      // The console is all that a person gets on stdout.
      const reporter = options.json ? reporterFor(true, surroundings) : textReporter(stderr, undefined);
      status = await runMachine(file, options, { stdout, stdin, reporter, signal });
    });
  program
    .command("vbus <machine>")
    .description("draw the tree of a machine's virtual bus, after commands to it")
    .addHelpText("after", VBUS_EXAMPLE)
    .option("-c, --command <words>", "mkdir, rmdir, write, link or unlink, as with files; may be given several times", gather, [])
    .option("--events", "say what comes, goes and is written", false)
    .action(async (file: string, options: ShowBusOptions) => showBus(file, options, stdout));
  program
    .command("new")
    .description("write a package to go on from")
    .command("device <name>")
    .description("a package with a device that works, its tests and how to go on")
    .addHelpText("after", NEW_EXAMPLE)
    .addOption(new Option("-b, --bus <bus>", "what carries it").choices(BUSES).default("virtio"))
    .option("-f, --folder <path>", "where it is written; a folder of its name unless given")
    .action((name: string, options: { readonly bus: (typeof BUSES)[number]; readonly folder?: string }) => {
      const { folder, files, npm } = newDevice(name, { ...options, version, sources: sourcesOfPackages() });
      stdout.write(`${files.map((file) => join(folder, file)).join("\n")}\n\ncd ${folder} && ${npm} install && ${npm} test\n`);
    });
  program
    .command("doctor")
    .description("find out what this host can do, and how to mend what it can't")
    .option("--json", "an object a line", false)
    .action(async ({ json }: { json: boolean }) => {
      status = (await examine(reporterFor(json, surroundings))) ? Exit.Ok : Exit.Failed;
    });
  try {
    await program.parseAsync([...args], { from: "user" });
    return status;
  } catch (error) {
    return exitCode(error, stderr);
  }
}

/** Where the packages' sources are: the command runs from its own in a clone of the project alone. */
function sourcesOfPackages(): string | undefined {
  return import.meta.url.endsWith(".ts") ? fileURLToPath(new URL("../../", import.meta.url)) : undefined;
}

/** What all that is served has. */
function withSockets(command: Command): Command {
  return command
    .requiredOption("-s, --socket <path>", "where front-ends connect; may be given several times", gather)
    .option("--connect", "connect to front-ends that listen there, again and again", false)
    .addOption(new Option("--uid <user>", "serve only processes of this user").argParser(wholeNumber(0, 2 ** 32 - 2)))
    .option("--no-journal", "don't keep in PATH.rings where rings stand: after a crash packed rings hang then")
    .addOption(
      new Option("--poll-us <microseconds>", "look for more so long before waiting: faster answers, and a processor used meanwhile")
        .default(0)
        .argParser(wholeNumber(0, 1_000_000)),
    )
    .addOption(new Option("--interval <seconds>", "how often counters are shown").default(1).argParser(wholeNumber(1, 3600)))
    .option("--no-packed", "don't offer packed rings, which a front-end may take and begin as split ones (User Mode Linux)")
    .option("--unsealed", "take memory that its owner can shrink, and end this process by that", false)
    .option("--json", "say what happens as an object a line", false);
}

const EXAMPLES = `
Two guests on one switch, which also has a gateway:
  virtspace serve net --socket /tmp/net.sock --gateway 10.0.2.2
  qemu-system-x86_64 ... \\
    -object memory-backend-memfd,id=mem,size=512M,share=on -machine q35,memory-backend=mem -m 512 \\
    -chardev socket,id=c0,path=/tmp/net.sock,reconnect=1 -netdev vhost-user,id=n0,chardev=c0 \\
    -device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01,vectors=0
Each guest needs a mac of its own.

Exit codes: 0 stopped by a signal, 1 something could not be had, 2 the command line makes no sense.`;

const DEVICE_EXAMPLE = `
An entropy device:
  virtspace serve examples/entropy/device.ts --socket /tmp/rng.sock
  qemu-system-x86_64 ... \\
    -object memory-backend-memfd,id=mem,size=512M,share=on -machine q35,memory-backend=mem -m 512 \\
    -chardev socket,id=c0,path=/tmp/rng.sock -device vhost-user-rng-pci,chardev=c0,vectors=0
QEMU has a front-end for each kind of device: vhost-user-rng-pci, vhost-user-blk-pci, ...

Exit codes: 0 stopped by a signal, 1 the file failed or something could not be had, 2 the file exports no device.`;

const RUN_EXAMPLE = `
  virtspace run examples/quickstart/machine.ts --pcap net.pcapng

The exit code is the guest's own, where it leaves with one by its exit port; 1 where it comes to another end.`;

const NEW_EXAMPLE = `
  virtspace new device my-rng
  virtspace new device my-adder --bus vbus --folder devices/adder

Exit codes: 0 it was written, 1 the folder can't be written, 2 a bad name, or a folder that is in use.`;

const VBUS_EXAMPLE = `
  virtspace vbus examples/quickstart/machine.ts
  virtspace vbus examples/quickstart/machine.ts -c "write config/devices/venet/txmitigation 8"

Devices are made where the description registers classes: vbus: (admin) => { admin.register(venetDevclass(network)); }`;

function reporterFor(json: boolean, { stdout, now }: Surroundings): Reporter {
  if (json) return jsonReporter(stdout, now);
  const terminal = stdout as NodeJS.WriteStream;
  // One without a size (a serial line) has no room for what is drawn again and again.
  return textReporter(stdout, terminal.isTTY === true && terminal.columns > 0 ? (createLogUpdate(terminal) as LiveArea) : undefined);
}

function exitCode(error: unknown, stderr: Output): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.Ok : Exit.Usage;
  const isNoDevice = error instanceof PluginFileError && error.code === "no-device";
  if (
    isNoDevice ||
    error instanceof NewDeviceError ||
    error instanceof BackendChoiceError ||
    CompositionError.is(error, "bad-description")
  ) {
    stderr.write(`error: ${error.message}\n`);
    return Exit.Usage;
  }
  const text = isOfHost(error) ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  stderr.write(`error: ${text}\n`);
  return Exit.Failed;
}

/** Whether its message is enough. What has no cause outside is a fault of ours, and tells where. */
function isOfHost(error: unknown): error is Error {
  if (error instanceof CaptureFileError || error instanceof PluginFileError) return true;
  if (HypervisorError.is(error) || KvmError.is(error) || PcPlatformError.is(error) || CompositionError.is(error)) return true;
  if (VbusError.is(error)) return true;
  return HostLinuxError.is(error) || VhostUserError.is(error) || (error instanceof Error && "syscall" in error);
}
