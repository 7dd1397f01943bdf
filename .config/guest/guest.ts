/**
 * A Linux guest under QEMU for a test: started, driven by commands and by QEMU's monitor, and gone with the test.
 *
 * It knows nothing of what is tested: who serves its devices is said by the options.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { CommandChannel, type CommandResult } from "./command-channel.ts";
import { type GuestImage, guestImage } from "./guest-image.ts";
import { Descriptor, type GuestOptions, qemuArguments } from "./machine.ts";
import { Qmp, type QmpEvent } from "./qmp.ts";

export type { CommandResult } from "./command-channel.ts";
export type { GuestOptions, Machine } from "./machine.ts";
export type { NicBackend } from "./nic.ts";
export type { QmpEvent } from "./qmp.ts";

/** A time limit, in milliseconds. */
export interface Limit {
  readonly timeout?: number;
}

const LOG_LIMIT = 1 << 18;
/** The kernel takes and gives memory in such pieces. */
const BLOCK_MIB = 128;
/** What a guest says by ACPI's _OST of a removal that was asked for: 0 for done, "pending", or why not. */
const OST_EJECTION = 3;
const OST_PENDING = 0x84;

export class Guest implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #qmp: Qmp;
  readonly #console: Duplex;
  readonly #lifetime: NodeJS.Timeout;
  /** Resolves when QEMU is gone and all that it said is read. */
  readonly #ended: Promise<void>;
  #channel: CommandChannel | undefined;
  #log = "";

  private constructor(options: GuestOptions, image: GuestImage) {
    const { incoming = false, lifetime = 120_000 } = options;
    // The kernel ends QEMU with this process, however this ends; setpriv becomes QEMU, so the process id is QEMU's.
    const words = ["--pdeathsig", "KILL", "qemu-system-x86_64", ...qemuArguments(options, image)];
    this.#child = spawn("setpriv", words, { stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"] });
    const stream = (i: number): Duplex => {
      const duplex = this.#child.stdio[i] as Duplex;
      // A write to a QEMU that has ended: whoever waits for its effect hears of the end.
      return duplex.on("error", () => {});
    };
    for (const i of [1, 2, Descriptor.log]) {
      const keep = (chunk: string) => (this.#log = (this.#log + chunk).slice(-LOG_LIMIT));
      stream(i).setEncoding("utf8").on("data", keep);
    }
    this.#qmp = new Qmp(stream(Descriptor.monitor));
    this.#console = stream(Descriptor.commands);
    if (!incoming) {
      this.#channel = new CommandChannel();
      this.#channel.attach(this.#console);
    }
    this.#lifetime = setTimeout(() => this.#giveUp(`QEMU lived for ${lifetime} ms and was killed`), lifetime);
    this.#lifetime.unref();
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (cause) => {
        this.#fail(`QEMU could not be started: ${cause.message}`);
        resolve();
      });
      this.#child.once("close", (code, signal) => {
        this.#fail(`QEMU has ended (${signal ?? code})`);
        resolve();
      });
    });
  }

  /** Starts a guest; resolves when it takes commands, or, if it is `incoming`, when QEMU does. */
  static async start(options: GuestOptions = {}): Promise<Guest> {
    const { incoming = false, bootTimeout = 60_000 } = options;
    const guest = new Guest(options, await guestImage());
    const late = setTimeout(() => guest.#giveUp(`the guest did not come up in ${bootTimeout} ms`), bootTimeout);
    try {
      const up = incoming ? undefined : guest.#channel?.nextReady();
      await guest.#qmp.negotiate();
      await up;
      return guest;
    } catch (cause) {
      await guest.kill();
      throw cause;
    } finally {
      clearTimeout(late);
    }
  }

  /** QEMU's process. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What the guest's kernel and QEMU said, the last 256 KiB. */
  get log(): string {
    return this.#log;
  }

  /** Resolves when QEMU is gone. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /**
   * Runs a shell command in the guest, after those that were asked for before. One that is to run beside others goes to the
   * background with its outputs elsewhere: `command >/tmp/out 2>&1 &`.
   *
   * A command that takes longer than `timeout` (30 s) makes this guest's shell useless.
   */
  run(command: string, { timeout = 30_000 }: Limit = {}): Promise<CommandResult> {
    if (this.#channel === undefined) return Promise.reject(new Error("no shell here: the guest has not yet come, or it has migrated"));
    return this.#channel.run(command, timeout);
  }

  /** Runs a shell command that must succeed, and gives its output. */
  async check(command: string, limit: Limit = {}): Promise<string> {
    const { status, output } = await this.run(command, limit);
    if (status !== 0) throw new Error(`in the guest, status ${status}: ${command}\n${output}\n${this.#lastWords()}`);
    return output;
  }

  /** Asks QEMU; its errors throw. */
  qmp(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#qmp.execute(command, args);
  }

  /** The next event of a name that was not asked for yet, since QEMU's start. */
  waitQmpEvent(name: string, { timeout = 30_000 }: Limit = {}): Promise<QmpEvent> {
    return this.#qmp.event(({ event }) => event === name, name, timeout);
  }

  /** When the guest comes up the next time, after what restarts it: `system_reset`, a panic. Ask before. */
  nextReady(): Promise<void> {
    return this.#channel === undefined ? Promise.reject(new Error("no shell here")) : this.#channel.nextReady();
  }

  /** Restarts the guest from within; resolves when it takes commands again. Its options must say `reboot`. */
  async reboot({ timeout = 60_000 }: Limit = {}): Promise<void> {
    const up = this.nextReady();
    // Never answered.
    this.run("reboot -f", { timeout }).catch(() => {});
    await up;
  }

  /**
   * Plugs in memory; resolves when the guest uses it. A multiple of 128 MiB. What it takes: a q35 with `hotplugMiB`, and a kernel
   * with ACPI's memory hotplug, which Debian's has built in and which leaves new memory unused unless `auto_online_blocks` says
   * otherwise.
   *
   * The kernel puts no data of its own into `movable` memory, so that it can be taken away again: no ring and no receive buffer is
   * ever there, nor most of what is sent. `kernel` memory lies above 4 GiB and is what drivers then get first, but it can hardly
   * be taken away.
   */
  async addMemory(id: string, sizeMiB: number, zone: "movable" | "kernel" = "movable"): Promise<void> {
    if (sizeMiB % BLOCK_MIB !== 0) throw new Error(`${sizeMiB} MiB can't be plugged in: give a multiple of ${BLOCK_MIB}`);
    const online = "cat /sys/devices/system/memory/memory*/state | grep -c '^online'";
    const before = Number(await this.check(`echo online_${zone} >/sys/devices/system/memory/auto_online_blocks; ${online}`));
    const bytes = sizeMiB * 2 ** 20;
    await this.qmp("object-add", { "qom-type": "memory-backend-memfd", id: `${id}-bytes`, size: bytes, share: true });
    await this.qmp("device_add", { driver: "pc-dimm", id, memdev: `${id}-bytes` });
    await this.check(`until [ $(${online}) -ge ${before + sizeMiB / BLOCK_MIB} ]; do sleep 0.1; done`);
  }

  /** Takes memory away that {@link addMemory} plugged in; throws when the guest keeps it. */
  async removeMemory(id: string, { timeout = 30_000 }: Limit = {}): Promise<void> {
    await this.qmp("device_del", { id });
    const ofIt = ({ event, data }: QmpEvent): boolean => {
      const { device, info } = data as { device?: string; info?: { device?: string; source: number; status: number } };
      if (info?.device !== id) return event === "DEVICE_DELETED" && device === id;
      return info.source === OST_EJECTION && info.status !== 0 && info.status !== OST_PENDING;
    };
    const { event, data } = await this.#qmp.event(ofIt, `end to the removal of ${id}`, timeout);
    if (event !== "DEVICE_DELETED") throw new Error(`the guest keeps ${id}: ${event} ${JSON.stringify(data)}\n${this.#lastWords()}`);
    await this.qmp("object-del", { id: `${id}-bytes` });
  }

  /**
   * Moves the guest, running, into another QEMU, which was started with the same options and `incoming`. Commands go on there,
   * even one that is under way; this QEMU ends. If it fails, the guest goes on here.
   */
  async migrateTo(destination: Guest, { timeout = 60_000 }: Limit = {}): Promise<void> {
    const channel = this.#channel;
    if (channel === undefined) throw new Error("there is no guest here to migrate");
    const folder = await mkdtemp(join(tmpdir(), "guest-"));
    try {
      await channel.hold();
      const uri = `unix:${join(folder, "migration")}`;
      await destination.qmp("migrate-incoming", { uri });
      await this.qmp("migrate", { uri });
      await this.#migrated(timeout);
    } catch (cause) {
      channel.release();
      throw cause;
    } finally {
      await rm(folder, { recursive: true });
    }
    // The shell's words up to the move are read when this QEMU is gone, and only then those after it.
    this.#channel = undefined;
    await this.quit();
    destination.#channel = channel;
    channel.attach(destination.#console);
  }

  /** Has QEMU end in order; kills it if it does not. */
  async quit({ timeout = 5_000 }: Limit = {}): Promise<void> {
    const late = setTimeout(() => this.#child.kill("SIGKILL"), timeout);
    await this.qmp("quit").catch(() => {});
    await this.#ended;
    clearTimeout(late);
  }

  /** Kills QEMU; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #migrated(timeout: number): Promise<void> {
    for (const end = performance.now() + timeout; performance.now() < end; await sleep(50)) {
      const { status, ...rest } = (await this.qmp("query-migrate")) as { status: string; "error-desc"?: string };
      if (status === "completed") return;
      if (status === "failed" || status === "cancelled") throw new Error(`the migration ${status}: ${rest["error-desc"] ?? "no reason"}`);
    }
    await this.qmp("migrate_cancel");
    throw new Error(`the migration did not end in ${timeout} ms`);
  }

  #giveUp(why: string): void {
    this.#fail(why);
    this.#child.kill("SIGKILL");
  }

  /** Only the first reason counts. */
  #fail(why: string): void {
    clearTimeout(this.#lifetime);
    const cause = new Error(`${why}\n${this.#lastWords()}`);
    this.#qmp.fail(cause);
    this.#channel?.fail(cause);
  }

  #lastWords(): string {
    return `It said last:\n${this.#log.split("\n").slice(-60).join("\n")}`;
  }
}
