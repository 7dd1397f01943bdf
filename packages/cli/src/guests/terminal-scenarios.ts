/** A command in a terminal of its own, as somebody would have it who follows a page: he reads what it says, and types. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { spawnBound } from "../../../../.config/guest/helper-program.ts";

const LIFETIME = 110_000;

export class Terminal implements AsyncDisposable {
  readonly #process: ChildProcess;
  #said = "";
  /** Up to here somebody has read it. */
  #read = 0;

  /** @param command - for a shell, which becomes it */
  constructor(command: string) {
    this.#process = spawnBound(["sh", "-c", `exec ${command}`], LIFETIME, "pipe");
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        this.#said += chunk;
      });
    }
  }

  /** Waits until it says something, after what was waited for before. @returns what it said up to that */
  async until(text: string, milliseconds = 30_000): Promise<string> {
    for (const end = performance.now() + milliseconds; ; await sleep(20)) {
      const at = this.#said.indexOf(text, this.#read);
      if (at >= 0) {
        const from = this.#read;
        this.#read = at + text.length;
        return this.#said.slice(from, this.#read);
      }
      if (this.#hasEnded || performance.now() > end) throw new Error(`waited for ${text}:\n${this.#said.slice(-3000)}`);
    }
  }

  type(keys: string): void {
    this.#process.stdin?.write(keys);
  }

  /** Waits until it is done. @returns its exit code */
  async ended(): Promise<number | null> {
    if (!this.#hasEnded) await once(this.#process, "exit");
    return this.#process.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.ended();
  }

  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}
