/** Tells a log of the first frame of each kind, each way. */
import { Service } from "@virtspace/composition";
import { copyFrame, type Direction, type Frame, type FrameWitness } from "@virtspace/network";
import type { Logger } from "@virtspace/virtio";
import { inject, injectable } from "inversify";

const TYPE = 12;
const PROTOCOL = 23;
const [IPV4, ARP] = [0x0800, 0x0806];
const PROTOCOLS: Readonly<Record<number, string>> = { 1: "ICMP", 17: "UDP" };

@injectable()
export class FrameTeller implements FrameWitness {
  readonly #log: Logger;
  readonly #told = new Set<string>();
  readonly #start = new Uint8Array(PROTOCOL + 1);

  constructor(@inject(Service.Log) log: Logger) {
    this.#log = log;
  }

  addInterface(): number {
    return 0;
  }

  frame(_number: number, frame: Frame, direction: Direction): void {
    copyFrame(frame, 0, this.#start);
    const what = `${direction} ${kindOf(new DataView(this.#start.buffer))}`;
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#log.info(`the guest ${what}, ${frame.length} bytes`);
  }
}

function kindOf(start: DataView): string {
  const type = start.getUint16(TYPE);
  if (type === ARP) return "ARP";
  return (type === IPV4 && PROTOCOLS[start.getUint8(PROTOCOL)]) || `type 0x${type.toString(16)}`;
}
