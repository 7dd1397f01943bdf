/** Programs that run beside tests and benchmarks: each ends with the process that started it, and by itself after a time. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

const STARTS_IN = 20_000;

/** Whether a program can be called by its name. */
export const isInstalled = (program: string): boolean => spawnSync("which", [program]).status === 0;

/**
 * Starts a program.
 *
 * @param lifetime - milliseconds after which it is killed, whatever happens
 * @param input - a `pipe` for one that is typed to
 */
export function spawnBound(words: readonly string[], lifetime: number, input: "ignore" | "pipe" = "ignore"): ChildProcess {
  // setpriv becomes the program, so the process id is the program's.
  const command = ["--pdeathsig", "KILL", ...words];
  return spawn("setpriv", command, { stdio: [input, "pipe", "pipe"], timeout: lifetime, killSignal: "SIGKILL" });
}

/** A program that somebody needs beside himself. */
export class HelperProgram implements AsyncDisposable {
  /** What it said last, on both of its outputs. */
  said = "";
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  private constructor(words: readonly string[], lifetime: number) {
    this.#child = spawnBound(words, lifetime);
    this.#closed = once(this.#child, "close");
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        this.said = (this.said + chunk).slice(-2000);
      });
    }
  }

  /**
   * Starts a program; resolves when it is of use.
   *
   * @throws with what it said, if it ends instead
   */
  static async start(words: readonly string[], lifetime: number, isReady: (said: string) => boolean = () => true): Promise<HelperProgram> {
    const program = new HelperProgram(words, lifetime);
    for (const end = performance.now() + STARTS_IN; !isReady(program.said); await sleep(20)) {
      if (!program.#hasEnded && performance.now() < end) continue;
      await program[Symbol.asyncDispose]();
      throw new Error(`${words[0]} did not start: ${program.said.trim()}`);
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

  /** Resolves when it has ended by itself, or by its time, and has said all. */
  async ended(): Promise<void> {
    await this.#closed;
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
