/**
 * A program for a machine whose KVM runs long mode: boots Linux with a console and a plain port, talks with the shell on the one, and
 * with what echoes on the other. It prints what the console says, and at the end a line of JSON.
 *
 * `node linux.process.ts KERNEL INITRAMFS`
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type Duplex, duplexPair } from "node:stream";
import { boot, defineMachine, kvm, linux } from "@virtspace/composition";
import { MiB } from "@virtspace/virt-address-space";
import { virtioConsole } from "./console.ts";

const [kernel = "", initramfs = ""] = process.argv.slice(2);
const PROMPT = "/ # ";
/** With each prompt the shell asks its terminal where the cursor is. */
const WHERE = "\x1b[6n";
const ECHOED = 300_000;

const [terminal, keyboard] = duplexPair();
const [agent, far] = duplexPair();
const size = { columns: 101, rows: 43 };
const plugin = virtioConsole({
  ports: () => [
    { stream: Object.assign(terminal, size), console: true },
    { stream: agent, name: "org.example.agent" },
  ],
});
const description = defineMachine({
  name: "linux",
  memory: 192 * MiB,
  hypervisor: kvm(),
  devices: [plugin],
  boot: linux(readFileSync(kernel), {
    initrd: readFileSync(initramfs),
    // The emulated processor around this machine lets the guest change XCR0, and KVM doesn't hear of it.
    commandLine: "console=ttyS0 rdinit=/console.sh panic=-1 quiet clearcpuid=xsave mitigations=off",
  }),
});

let screen = "";
keyboard.setEncoding("utf8").on("data", (some: string) => {
  screen += some.replaceAll(WHERE, "");
  process.stdout.write(some);
});

/** Waits until the screen ends with the shell's prompt. */
async function prompted(from: number): Promise<string> {
  while (!screen.slice(from).endsWith(PROMPT)) await once(keyboard, "data");
  return screen.slice(from);
}

/** Types a line. @returns what the screen shows of it, and of what it does */
async function type(line: string): Promise<string> {
  const from = screen.length;
  keyboard.write(`${line}\n`);
  return (await prompted(from)).replaceAll("\r", "");
}

/** Sends bytes to what echoes on the plain port. @returns whether they came back */
async function echoes(stream: Duplex, sent: Buffer): Promise<boolean> {
  const came: Buffer[] = [];
  let length = 0;
  stream.on("data", (some: Buffer) => {
    came.push(some);
    length += some.length;
  });
  stream.write(sent);
  while (length < sent.length) await once(stream, "data");
  return Buffer.concat(came).equals(sent);
}

await using machine = await boot(description, { onConsole: (byte) => void process.stdout.write(String.fromCharCode(byte)) });
await prompted(0);
const answers = {
  shell: await type("echo $((6 * 7))"),
  size: await type("stty size"),
  name: await type("cat /sys/class/virtio-ports/vport0p1/name"),
  echoes: await echoes(far, randomBytes(ECHOED)),
};
Object.assign(terminal, { columns: 80, rows: 25 }).emit("resize");
const resized = await type("sleep 0.5; stty size");
keyboard.write("poweroff -f\n");
const outcome = await machine.outcome;
process.stdout.write(`\n@result ${JSON.stringify({ ...answers, resized, outcome })}\n`);
