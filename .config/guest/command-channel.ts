/**
 * The harness's end of the second serial port, whose other end is init.sh: commands go in one by one, each in a line with a token;
 * what they print comes back between two lines with that token.
 *
 * The channel is no socket: when a guest migrates, its shell goes on behind another socket, so what is known of the command under
 * way stays here and the socket is exchanged. The first mark tells that nothing sent is still on its way to the guest, for that
 * would be lost with the socket.
 */
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";

/** What a command did. */
export interface CommandResult {
  readonly status: number;
  /** Both of its outputs, as they came, without the line ends at their end. */
  readonly output: string;
}

interface Command {
  readonly token: string;
  readonly text: string;
  readonly resolve: (result: CommandResult) => void;
  readonly reject: (cause: Error) => void;
  lines: string[];
  begun: boolean;
}

const READY = "@guest ready";

/** For `printf %b` in the guest: a line, whatever the command is. */
const escaped = (command: string): string => command.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");

/** Commands to a guest's shell and their results, in order. */
export class CommandChannel {
  readonly #waiting: Command[] = [];
  readonly #prefix = randomBytes(4).toString("hex");
  #tokens = 0;
  #socket: Duplex | undefined;
  #current: Command | undefined;
  #rest = "";
  #ready = Promise.withResolvers<void>();
  #isReady = false;
  #held = false;
  #unheard: (() => void) | undefined;
  #failure: Error | undefined;

  constructor() {
    // Whoever waits for it hears of the failure; if nobody does it is no failure of the process.
    this.#ready.promise.catch(() => {});
  }

  /** Takes the guest's end from now on; what the former one still says is heard too. */
  attach(socket: Duplex): void {
    this.#socket = socket;
    socket.setEncoding("utf8").on("data", (chunk: string) => this.#hear(chunk));
    this.#held = false;
    this.#next();
  }

  /** When the guest's shell comes up the next time. */
  nextReady(): Promise<void> {
    return this.#ready.promise;
  }

  /** Has the guest run a command, after those before it. It may have several lines. */
  run(text: string, timeout: number): Promise<CommandResult> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
    const command: Command = { token: `${this.#prefix}-${++this.#tokens}`, text, resolve, reject, lines: [], begun: false };
    this.#waiting.push(command);
    this.#next();
    // A shell that does not answer can't be asked anything else.
    const late = () => this.fail(new Error(`the guest did not end this in ${timeout} ms: ${text}\n${command.lines.join("\n")}`));
    const timer = setTimeout(late, timeout);
    return promise.finally(() => clearTimeout(timer));
  }

  /** Sends nothing more until the next socket or {@link release}; resolves when the guest has read what was sent. */
  async hold(): Promise<void> {
    this.#held = true;
    if (this.#current !== undefined && !this.#current.begun) await new Promise<void>((resolve) => (this.#unheard = resolve));
  }

  /** Undoes {@link hold}. */
  release(): void {
    this.#held = false;
    this.#next();
  }

  /** Ends it all: whoever waits hears why, and so does whoever asks later. */
  fail(cause: Error): void {
    this.#failure ??= cause;
    const left = [...(this.#current === undefined ? [] : [this.#current]), ...this.#waiting.splice(0)];
    this.#current = undefined;
    for (const { reject } of left) reject(cause);
    this.#ready.reject(cause);
    this.#unheard?.();
  }

  #next(): void {
    if (this.#held || !this.#isReady || this.#current !== undefined) return;
    this.#current = this.#waiting.shift();
    if (this.#current !== undefined) this.#socket?.write(`${this.#current.token} ${escaped(this.#current.text)}\n`);
  }

  #hear(chunk: string): void {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#hearLine(line);
  }

  #hearLine(line: string): void {
    if (line === READY) return this.#cameUp();
    const command = this.#current;
    if (command === undefined) return;
    const end = `@${command.token} end `;
    if (line.startsWith(end)) {
      this.#current = undefined;
      command.resolve({ status: Number(line.slice(end.length)), output: command.lines.join("\n").replace(/\n+$/, "") });
      this.#next();
    } else if (line === `@${command.token} begin`) {
      // What came before is a background job's.
      command.lines = [];
      command.begun = true;
      this.#unheard?.();
    } else {
      command.lines.push(line);
    }
  }

  #cameUp(): void {
    this.#current?.reject(new Error(`the guest was started anew under this: ${this.#current.text}`));
    this.#current = undefined;
    this.#isReady = true;
    const { resolve } = this.#ready;
    this.#ready = Promise.withResolvers();
    this.#ready.promise.catch(() => {});
    resolve();
    this.#next();
  }
}
