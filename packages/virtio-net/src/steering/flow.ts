/** Which flow a frame belongs to: its addresses, and its ports where it has some. @module */
import { copyFrame, type Frame } from "@virtspace/network";

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const VLAN = 0x8100;
const TCP = 6;
const UDP = 17;
/** Ethernet, a VLAN tag, the longest IPv4 header, two ports. */
const LOOK_BYTES = 14 + 4 + 60 + 4;

/** What a hash is taken over. */
export type FlowKind = "none" | "ip4" | "tcp4" | "udp4" | "ip6" | "tcp6" | "udp6";

/** Finds the flow of a frame; one object serves all frames, one after the other. */
export class Flow {
  kind: FlowKind = "none";
  /** Source and target addresses, then source and target ports where there are some. */
  readonly bytes: Uint8Array = new Uint8Array(36);
  readonly #look = new Uint8Array(LOOK_BYTES);

  /** Bytes of both addresses. */
  get addressBytes(): number {
    return this.kind.endsWith("6") ? 32 : 8;
  }

  /** Reads a frame's headers, once. What is no whole packet, or a fragment without ports, has less of a flow. */
  read(frame: Frame): void {
    const look = this.#look;
    const length = copyFrame(frame, 0, look, 0, Math.min(frame.length, LOOK_BYTES));
    const tagged = this.#get16(12) === VLAN;
    const at = tagged ? 18 : 14;
    const type = this.#get16(at - 2);
    this.kind = "none";
    if (type === IPV4 && length >= at + 20) this.#readIp4(at, length);
    else if (type === IPV6 && length >= at + 40) this.#readIp6(at, length);
  }

  #readIp4(at: number, length: number): void {
    const headerBytes = ((this.#look[at] as number) & 15) * 4;
    const fragment = (this.#get16(at + 6) & 0x3fff) !== 0;
    const protocol = this.#look[at + 9];
    this.bytes.set(this.#look.subarray(at + 12, at + 20));
    this.kind = "ip4";
    if (fragment || headerBytes < 20 || length < at + headerBytes + 4) return;
    if (protocol === TCP || protocol === UDP) {
      this.kind = protocol === TCP ? "tcp4" : "udp4";
      this.bytes.set(this.#look.subarray(at + headerBytes, at + headerBytes + 4), 8);
    }
  }

  #readIp6(at: number, length: number): void {
    const protocol = this.#look[at + 6];
    this.bytes.set(this.#look.subarray(at + 8, at + 40));
    this.kind = "ip6";
    if (length < at + 44) return;
    if (protocol === TCP || protocol === UDP) {
      this.kind = protocol === TCP ? "tcp6" : "udp6";
      this.bytes.set(this.#look.subarray(at + 40, at + 44), 32);
    }
  }

  #get16(at: number): number {
    return (this.#look[at] as number) * 256 + (this.#look[at + 1] as number);
  }
}
