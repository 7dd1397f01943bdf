/** `virtspace run`: a machine from a description, its console attached. @module */
import { boot, consoleLines, type HypervisorChoice, kvm, type MachineOutcome, v86 } from "@virtspace/composition";
import { captured } from "@virtspace/network";
import { AsyncDisposableStack } from "@virtspace/virt-address-space";
import { openCapture } from "../capture/capture-file.ts";
import { descriptionIn } from "../machine/description-file.ts";
import type { Output, Reporter } from "../report/reporter.ts";
import { ConsoleInput } from "./console-input.ts";

/** What was asked for. */
export interface RunOptions {
  readonly hypervisor?: string | undefined;
  readonly pcap?: string | undefined;
  readonly json: boolean;
}

/** What it talks through. */
export interface RunSurroundings {
  readonly stdout: Output;
  readonly stdin?: NodeJS.ReadableStream | undefined;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** Hypervisors by the name that is given on the command line. */
export const HYPERVISORS: Readonly<Record<string, () => HypervisorChoice>> = { v86, kvm };

const MOST_STATUS = 125;
const FAILED = 1;

/**
 * Runs a machine until its guest has left, or the signal is raised.
 *
 * @returns the exit code: the guest's own status where it left with one
 * @throws {@link CompositionError} for a file that describes no machine; what its parts say
 */
export async function runMachine(file: string, options: RunOptions, { stdout, stdin, reporter, signal }: RunSurroundings): Promise<number> {
  const described = await descriptionIn(file);
  const choice = options.hypervisor === undefined ? described.hypervisor : (HYPERVISORS[options.hypervisor] as () => HypervisorChoice)();
  await using stack = new AsyncDisposableStack();
  const writer =
    options.pcap === undefined
      ? undefined
      : openCapture(options.pcap, stack, {
          onGone: (name) => reporter.say({ event: "gone", name, text: `${name}: the capture ends here` }),
          onSkipped: (name, frames) => reporter.say({ event: "skipped", file: name, frames, text: `${name} lacks ${frames} frames` }),
        });
  const input = new ConsoleInput();
  const machine = stack.use(
    await boot(
      { ...described, hypervisor: choice },
      {
        onConsole: options.json
          ? consoleLines((line) => reporter.say({ event: "console", line, text: line }))
          : (byte) => void stdout.write(String.fromCharCode(byte)),
        onConsoleRoom: () => input.more(),
        ...(writer !== undefined && { network: (backend) => captured(backend, writer) }),
        onFault: (fault) => reporter.say({ event: "fault", code: fault.code, name: fault.name, text: `"${fault.name}": ${fault.code}` }),
      },
    ),
  );
  reporter.say({
    event: "run",
    machine: machine.name,
    hypervisor: machine.hypervisor.name,
    text: `${machine.name} runs on ${machine.hypervisor.name}`,
  });
  if (stdin !== undefined) stack.use(input.attach(stdin, machine.console));
  const stopped = new Promise<"stopped">((resolve_) => {
    if (signal.aborted) resolve_("stopped");
    else signal.addEventListener("abort", () => resolve_("stopped"), { once: true });
  });
  const outcome = await Promise.race([machine.outcome, stopped]);
  reporter.end();
  reporter.say({
    event: "end",
    outcome: outcome === "stopped" ? { reason: outcome } : plain(outcome),
    counters: machine.machine.counters,
    text: said(outcome),
  });
  return exitCode(outcome);
}

function exitCode(outcome: MachineOutcome | "stopped"): number {
  if (outcome === "stopped" || outcome.reason === "powered-off" || outcome.reason === "reset") return 0;
  return outcome.reason === "left" ? Math.min(outcome.status, MOST_STATUS) : FAILED;
}

/** What JSON can hold. */
function plain(outcome: MachineOutcome): Readonly<Record<string, unknown>> {
  if (outcome.reason === "emulation-failed") return { ...outcome, bytes: [...outcome.bytes] };
  if (outcome.reason === "entry-failed") return { ...outcome, hardwareReason: String(outcome.hardwareReason) };
  return { ...outcome };
}

function said(outcome: MachineOutcome | "stopped"): string {
  if (outcome === "stopped") return "stopped";
  switch (outcome.reason) {
    case "left":
      return `the guest left with status ${outcome.status}`;
    case "powered-off":
      return "the guest turned its machine off";
    case "reset":
      return "the guest wants to start anew: run it again";
    case "triple-fault":
      return "the guest met an exception that it has no handler for (triple fault)";
    case "emulation-failed": {
      const bytes = Array.from(outcome.bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
      return `the hypervisor can't run the instruction at 0x${outcome.address.toString(16)} (${bytes || "bytes unknown"}): try --hypervisor v86`;
    }
    case "entry-failed":
      return `the processor refused the guest's state (0x${outcome.hardwareReason.toString(16)})`;
    case "engine-failed":
      return `the hypervisor failed: ${outcome.message}`;
    case "disposed":
      return "the machine was disposed";
  }
}
