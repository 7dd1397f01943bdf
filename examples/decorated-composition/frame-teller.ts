/** Tells a log of the first frame of each kind, each way. */
import { Service } from "@virtspace/composition";
import { copyFrame, type Direction, type Frame, type FrameWitness } from "@virtspace/network";
import type { Logger } from "@virtspace/virtio";
import { inject, injectable } from "inversify";

const TYPE = 12;
const PROTOCOL = 23;
const IPV4 = 0x0800;
const TYPES: Readonly<Record<number, string>> = { 2054: "ARP" };
const PROTOCOLS: Readonly<Record<number, string>> = { 1: "ICMP", 17: "UDP" };

@injectable()
export class FrameTeller implements FrameWitness {
  readonly #log: Logger;
  readonly #told = new Set<string>();
  readonly #start = new DataView(new ArrayBuffer(PROTOCOL + 1));

  constructor(@inject(Service.Log) log: Logger) {
    this.#log = log;
  }

  addInterface(): number {
    return 0;
  }

  frame(_number: number, frame: Frame, direction: Direction): void {
    copyFrame(frame, 0, new Uint8Array(this.#start.buffer));
    const what = `${direction} ${this.#kind()}`;
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#log.info(`the guest ${what}, ${frame.length} bytes`);
  }

  #kind(): string {
    const type = this.#start.getUint16(TYPE);
    return (type === IPV4 ? PROTOCOLS[this.#start.getUint8(PROTOCOL)] : TYPES[type]) ?? "something else";
  }
}
