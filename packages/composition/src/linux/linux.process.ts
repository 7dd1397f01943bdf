/**
 * A program for a machine whose KVM runs long mode: boots Linux, and types commands into its shell. It prints what the guest's console
 * says, and at the end a line of JSON.
 *
 * `node linux.process.ts KERNEL INITRAMFS`
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openKvm } from "@virtspace/kvm-core";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { MiB } from "@virtspace/virt-address-space";
import { boot, type ComposedMachine, defineMachine, kvm, linux, virtioNet } from "../index.ts";

const PROMPT = "/ # ";
const BUTTON = "cat /sys/firmware/acpi/interrupts/ff_pwr_btn";
const [kernel = "", initramfs = ""] = process.argv.slice(2);

/** The far end of a guest's console. */
class Terminal {
  #said = "";
  #ended = false;

  hear(byte: number): void {
    this.#said += String.fromCharCode(byte);
    process.stdout.write(Uint8Array.of(byte));
  }

  /** What ends while a prompt is waited for prompts no more. */
  async prompted(from = 0): Promise<void> {
    while (!this.#said.includes(PROMPT, from) && !this.#ended) await sleep(20);
  }

  async type(command: string, machine: ComposedMachine): Promise<void> {
    void machine.outcome.then(() => {
      this.#ended = true;
    });
    const from = this.#said.length;
    for (const byte of Buffer.from(`${command}\n`)) while (machine.console.receive(Uint8Array.of(byte)) === 0) await sleep(1);
    await this.prompted(from);
  }
}

using hypervisor = await openKvm();
const modes = await hypervisor.probeModes();

const network = new LearningSwitch();
using gateway = new Gateway(network, { address: "10.0.2.2" });
const description = defineMachine({
  name: "linux",
  memory: 192 * MiB,
  vcpus: 2,
  hypervisor: kvm(),
  devices: [virtioNet({ backend: network, mac: "52:54:00:12:34:56" })],
  boot: linux(readFileSync(kernel), {
    initrd: readFileSync(initramfs),
    // The emulated processor around this machine lets the guest change XCR0, and KVM doesn't hear of it.
    commandLine: "console=ttyS0 rdinit=/bin/sh panic=-1 quiet clearcpuid=xsave mitigations=off",
  }),
});

const terminal = new Terminal();
await using machine = await boot(description, { onConsole: (byte) => terminal.hear(byte) });
await terminal.prompted();
await terminal.type("/bin/busybox mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev", machine);
await terminal.type("modprobe -a virtio_mmio virtio_net button", machine);
await terminal.type("ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0", machine);
await terminal.type("ping -c 3 10.0.2.2", machine);
await terminal.type("grep -c ^processor /proc/cpuinfo; grep virtio0 /proc/interrupts; hwclock -u", machine);
machine.power.press();
await terminal.type(BUTTON, machine);
await terminal.type("poweroff -f", machine);
const outcome = await machine.outcome;
process.stdout.write(`\n@result ${JSON.stringify({ modes, outcome, echo: gateway.counters.echo, holders: machine.memory.holders })}\n`);
