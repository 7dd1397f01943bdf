/** The conversation about ports: which there are, what they are called, who has them open. */
import type { Chain, DefinedQueue } from "@virtspace/virtio";
import { CONTROL_BYTES, decode, Event, encode, encodeSize } from "./format.ts";
import type { Port } from "./port.ts";

/** The device's end of it. */
export class Control {
  readonly #ports: readonly Port[];
  /** What is still to be said, by port and event: a newer one takes an older one's place, so no driver can make it grow. */
  readonly #toSay = new Map<string, Uint8Array>();
  #receive: DefinedQueue | undefined;

  constructor(ports: readonly Port[]) {
    this.#ports = ports;
  }

  /** Serves the guest's control queues. @returns what ends that */
  serve(receive: DefinedQueue, transmit: DefinedQueue): () => void {
    this.#toSay.clear();
    this.#receive = receive;
    receive.serve((chain) => this.#say(chain));
    transmit.serve((chain) => this.#hear(chain));
    const listeners = this.#ports.map(({ options: { stream } }, number) => {
      const closed = (): void => this.#tell(number, Event.PortOpen, 0);
      const resized = (): void => this.#tellSize(number);
      stream.on("close", closed).on("resize", resized);
      return () => void stream.off("close", closed).off("resize", resized);
    });
    return () => {
      for (const end of listeners) end();
    };
  }

  #hear(chain: Chain): void {
    const bytes = new Uint8Array(CONTROL_BYTES);
    if (chain.copyFrom(0, bytes) !== 0) return;
    const { port: number, event, value } = decode(bytes);
    // This one is about the device, whatever port it names.
    if (event === Event.DeviceReady && value === 1) {
      for (const each of this.#ports.keys()) this.#tell(each, Event.PortAdd, 1);
      return;
    }
    const port = this.#ports[number];
    if (port === undefined) return;
    if (event === Event.PortReady && value === 1) this.#introduce(number, port);
    if (event === Event.PortOpen) port.setOpened(value === 1);
  }

  #introduce(number: number, { options: { console = false, name, stream } }: Port): void {
    if (console) this.#tell(number, Event.ConsolePort, 1);
    if (name !== undefined) this.#tell(number, Event.PortName, 1, new TextEncoder().encode(name));
    this.#tellSize(number);
    if (!stream.destroyed) this.#tell(number, Event.PortOpen, 1);
  }

  #tellSize(number: number): void {
    const { console = false, stream } = (this.#ports[number] as Port).options;
    const { columns, rows } = stream;
    if (console && columns !== undefined && rows !== undefined) this.#tell(number, Event.Resize, 0, encodeSize(columns, rows));
  }

  #tell(port: number, event: number, value: number, more?: Uint8Array): void {
    const key = `${port} ${event}`;
    this.#toSay.delete(key);
    this.#toSay.set(key, encode({ port, event, value }, more));
    this.#receive?.resume();
  }

  /** Says the oldest in a buffer; keeps that, by answering false, until there is something. */
  #say(chain: Chain): boolean {
    for (const [key, message] of this.#toSay) {
      this.#toSay.delete(key);
      chain.copyTo(0, message);
      return true;
    }
    return false;
  }
}
