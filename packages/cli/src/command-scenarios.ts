/** A command in a test: what it says is kept. */
import { Readable } from "node:stream";
import { run } from "./index.ts";

export class Trial {
  readonly stop = new AbortController();
  /** What is typed. */
  readonly stdin = new Readable({ read: () => {} });
  out = "";
  err = "";

  run(...args: string[]): Promise<number> {
    return run(args, {
      stdout: { write: (text) => (this.out += text) },
      stderr: { write: (text) => (this.err += text) },
      stdin: this.stdin,
      signal: this.stop.signal,
      now: () => new Date(0),
    });
  }

  /** Waits until it has said something. */
  async said(text: string): Promise<void> {
    const end = performance.now() + 5000;
    while (!this.out.includes(text)) {
      if (performance.now() > end) throw new Error(`it never said "${text}": ${this.out}${this.err}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
