/** A program that a benchmark needs beside itself: it ends with the benchmark, and by itself after a time. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const STARTS_IN = 20_000;

/** Whether a program can be called by its name. */
export const isInstalled = (program: string): boolean => spawnSync("which", [program]).status === 0;

export class HelperProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  #said = "";

  private constructor(words: readonly string[], lifetime: number) {
    // setpriv becomes the program, so the process id is the program's.
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", ...words], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: lifetime,
      killSignal: "SIGKILL",
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        this.#said = (this.#said + chunk).slice(-2000);
      });
    }
  }

  /**
   * Starts a program; resolves when the sockets that it listens at are there.
   *
   * @param lifetime - milliseconds after which it is killed, whatever happens
   * @throws with what it said, if it ends instead
   */
  static async start(words: readonly string[], sockets: readonly string[], lifetime: number): Promise<HelperProgram> {
    const program = new HelperProgram(words, lifetime);
    for (const end = performance.now() + STARTS_IN; !sockets.every((path) => existsSync(path)); await sleep(50)) {
      if (!program.#hasEnded && performance.now() < end) continue;
      await program[Symbol.asyncDispose]();
      throw new Error(`${words[0]} did not start: ${program.#said.trim()}`);
    }
    return program;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Has it use no processor until {@link resume}. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
