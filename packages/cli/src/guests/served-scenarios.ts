/** What the tests with real guests share: the command as a process of its own, and guests with cards that it serves. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Guest } from "../../../../.config/guest/guest.ts";
import { spawnBound } from "../../../../.config/guest/helper-program.ts";
import type { Nic } from "../../../../.config/guest/nic.ts";

const MAIN = join(import.meta.dirname, "../main.ts");
const LIFETIME = 110_000;
const BYTES = 20_000_000;

/** Something that the command said. */
export interface Said {
  readonly event: string;
  readonly guest?: string;
  readonly guests?: readonly { readonly guest: string; readonly sent: number; readonly received: number; readonly drops: number }[];
  readonly counters?: readonly { readonly name: string; readonly frames: number; readonly drops: Readonly<Record<string, number>> }[];
}

/** The command `virtspace serve net`, as a process. */
export class Served implements AsyncDisposable {
  readonly said: Said[] = [];
  readonly #process: ChildProcess;
  readonly #heard = new Set<() => void>();
  #errors = "";

  private constructor(within: readonly string[], args: readonly string[]) {
    this.#process = spawnBound([...within, process.execPath, MAIN, "serve", "net", "--json", ...args], LIFETIME);
    createInterface({ input: this.#process.stdout as never }).on("line", (line) => {
      this.said.push(JSON.parse(line) as Said);
      for (const heard of this.#heard) heard();
    });
    this.#process.stderr?.on("data", (data) => {
      this.#errors += data;
    });
  }

  /** Starts it, and waits until it listens. */
  static start(...args: string[]): Promise<Served> {
    return Served.startWithin([], ...args);
  }

  /** The same by a command that becomes what it is given, as `unshare -n` does. */
  static async startWithin(command: readonly string[], ...args: string[]): Promise<Served> {
    const served = new Served(command, args);
    await served.until("it to listen", () => served.said.some(({ event }) => event === "ready"));
    return served;
  }

  /** Its process. */
  get pid(): number {
    return this.#process.pid as number;
  }

  /** File descriptors and mappings of guests' memory that it has. */
  get resources(): { readonly fds: number; readonly mappings: number } {
    const fds = readdirSync(`/proc/${this.pid}/fd`).length;
    const mappings = readFileSync(`/proc/${this.pid}/maps`, "utf8").match(/memfd:/g)?.length ?? 0;
    return { fds, mappings };
  }

  /** How often something was said. */
  count(event: string): number {
    return this.said.filter((each) => each.event === event).length;
  }

  /** Waits until something holds, which is asked whenever it has said something. */
  async until(what: string, holds: () => boolean, milliseconds = 20_000): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!holds()) {
      const left = end - performance.now();
      if (left <= 0 || this.#process.exitCode !== null) {
        throw new Error(`waited for ${what}: ${JSON.stringify(this.said.slice(-5))}\n${this.#errors}`);
      }
      await new Promise<void>((resolve) => {
        const heard = (): void => {
          clearTimeout(timer);
          this.#heard.delete(heard);
          resolve();
        };
        const timer = setTimeout(heard, Math.min(left, 50));
        this.#heard.add(heard);
      });
    }
  }

  /** Ends it by a signal. @returns its exit code */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return this.#process.exitCode;
    const ended = once(this.#process, "exit");
    this.#process.kill(signal);
    await ended;
    return this.#process.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** A folder for sockets. */
export class Sockets implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "virtspace-"));

  at(name: string): string {
    return join(this.#path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}

/** A card that is served at a path. */
export function card(path: string, number: number, options: Partial<Nic> = {}): Nic {
  return { backend: { kind: "vhost-user", path, reconnect: true }, mac: `52:54:00:00:00:${String(number).padStart(2, "0")}`, ...options };
}

/** What a guest runs to have an address. */
export const address = (number: number, extra = ""): string =>
  `ip link set eth0 up && ip addr add 10.0.0.${number}/24 dev eth0 ${extra && `&& ${extra}`}`;

/** How the rings of a guest's card lie, as its driver agreed. */
export async function rings(guest: Guest): Promise<"split" | "packed"> {
  const PACKED = 34;
  return (await guest.check("cat /sys/class/net/eth0/device/features"))[PACKED] === "1" ? "packed" : "split";
}

/** Packets that a ping sent and got back. */
export function pinged(output: string): { readonly sent: number; readonly received: number } {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) packets received/.exec(output) ?? [];
  if (sent === undefined) throw new Error(`no ping: ${output}`);
  return { sent: Number(sent), received: Number(received) };
}

/** Sends some megabytes from one guest to another, which answers with their checksum: it is the right one. */
export async function bulk(from: Guest, to: Guest, target: string): Promise<void> {
  await to.check("nc -l -p 7 -e sha256sum >/tmp/nc 2>&1 & sleep 0.3");
  const output = await from.check(`head -c ${BYTES} /dev/urandom >/tmp/bulk; sha256sum </tmp/bulk; nc ${target} 7 </tmp/bulk`, {
    timeout: 40_000,
  });
  if (!/^([0-9a-f]{64}) {2}-\n\1 {2}-$/.test(output)) throw new Error(`what arrived is not what was sent: ${output}`);
}
