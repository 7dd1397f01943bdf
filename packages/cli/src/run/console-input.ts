/** What is typed goes to the guest's serial port, as fast as it takes it. @module */
import type { Uart } from "@virtspace/pc-platform";

/** Input that waits for room. */
export class ConsoleInput {
  #uart: Uart | undefined;
  #stream: NodeJS.ReadableStream | undefined;
  #waiting = new Uint8Array(0);

  /** Begins to read; dispose what is returned to stop. */
  attach(stream: NodeJS.ReadableStream, uart: Uart): Disposable {
    this.#uart = uart;
    this.#stream = stream;
    const onData = (chunk: Uint8Array | string): void => {
      this.#waiting = typeof chunk === "string" ? new TextEncoder().encode(chunk) : Uint8Array.from(chunk);
      this.more();
    };
    stream.on("data", onData);
    return {
      [Symbol.dispose]: () => {
        stream.off("data", onData);
        stream.pause();
        this.#uart = undefined;
      },
    };
  }

  /** The guest has room: what waits goes on, and while something waits nothing more is read. */
  more(): void {
    const { length } = this.#waiting;
    if (this.#uart === undefined || length === 0) return;
    this.#waiting = this.#waiting.slice(this.#uart.receive(this.#waiting));
    if (this.#waiting.length > 0) this.#stream?.pause();
    else this.#stream?.resume();
  }
}
