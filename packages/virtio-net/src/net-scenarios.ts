/** What the tests of the card share: a guest with its driver on a card, and a backend that keeps what it is sent. */
import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import {
  BytesFrame,
  copyFrame,
  type Frame,
  type NetworkBackend,
  type NetworkEndpoint,
  NO_OFFLOAD,
  type Offload,
  type OffloadSupport,
  PortCounters,
  writeHeader,
} from "@virtspace/network";
import { gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, VirtioFeature, VirtioMmio } from "@virtspace/virtio";
import { NetFeature, VirtioNet, type VirtioNetOptions } from "./index.ts";

/** The card's address. */
export const MAC = 0x5254_0012_3456;
/** Somebody else's. */
export const PEER = 0x5254_0000_0001;

/** Every feature of a queue's layout under test. */
export const layouts: readonly (readonly [name: string, bits: readonly number[]])[] = [
  ["split", [VirtioFeature.RingEventIdx]],
  ["packed", [VirtioFeature.RingPacked]],
];

/** Takes everything that a backend may. */
export const EVERYTHING: OffloadSupport = { checksum: true, segmentation: ["tcp4", "tcp6", "udp"], ecn: true };

/** What a backend was sent. */
export interface Sent {
  readonly bytes: number[];
  readonly offload: Offload;
}

/** A backend that keeps what it is sent, as long as it has room. */
export class Wire implements NetworkBackend {
  readonly name = "wire";
  readonly sent: Sent[] = [];
  room = Number.POSITIVE_INFINITY;
  endpoint: NetworkEndpoint | undefined;
  asked = 0;
  flushes = 0;
  onRoom: () => void = () => {};
  readonly #accepts: OffloadSupport;

  constructor(accepts: OffloadSupport = EVERYTHING) {
    this.#accepts = accepts;
  }

  plug(endpoint: NetworkEndpoint) {
    this.endpoint = endpoint;
    return {
      accepts: this.#accepts,
      counters: new PortCounters(),
      send: (frame: Frame) => {
        if (this.room === 0) return false;
        this.room--;
        const bytes = new Uint8Array(frame.length);
        copyFrame(frame, 0, bytes);
        this.sent.push({ bytes: [...bytes], offload: { ...frame.offload } });
        return true;
      },
      flush: () => void this.flushes++,
      roomAgain: () => void this.asked++,
      onRoom: (callback: () => void) => {
        this.onRoom = callback;
      },
      [Symbol.dispose]: () => {
        this.endpoint = undefined;
      },
    };
  }

  /** Sends the card a frame. @returns whether it had room */
  deliver(bytes: Uint8Array, offload: Offload = NO_OFFLOAD): boolean {
    const took = (this.endpoint as NetworkEndpoint).receive(new BytesFrame(bytes, offload));
    this.endpoint?.flush();
    return took;
  }
}

/** A frame with a payload of some length. */
export function frameOf(length: number, { target = MAC, source = PEER, type = 0x88b5, fill = 1 } = {}): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 14)).fill(fill);
  writeHeader(bytes, target, source, type);
  return bytes;
}

const REGISTERS = gpa(0xd000_0000);
const RINGS = 0x1_0000;
const BUFFERS = 0x20_0000;
const BUFFER_BYTES = 0x1_1000;
const ALL = FeatureSet.of(...Object.values(NetFeature), VirtioFeature.Version1, VirtioFeature.RingIndirectDesc);

/** How a guest sets its card up. */
export interface GuestOptions extends Partial<VirtioNetOptions> {
  /** Features besides those of the layout; all unless given. */
  readonly wanted?: FeatureSet;
  readonly layout?: readonly number[];
  /** Lets the rings be started by the test. */
  readonly idle?: boolean;
}

/** A guest with a card. */
export class Guest implements Disposable {
  readonly space: VirtAddressSpace;
  readonly net: VirtioNet;
  readonly mmio: VirtioMmio;
  readonly driver: MmioDriver;
  readonly rings: RingDriver[] = [];
  readonly wire: Wire;
  readonly #later: (() => void)[] = [];
  #next = BUFFERS;

  constructor({ wanted = ALL, layout = [], idle = false, ...options }: GuestOptions = {}) {
    this.wire = (options.backend as Wire | undefined) ?? new Wire();
    this.space = VirtAddressSpace.create({ name: "guest" });
    this.space.map({ name: "ram", base: gpa(0), memory: sharedMemory(32 * MiB) });
    this.net = new VirtioNet({ mac: MAC, queueSize: 16, ...options, backend: this.wire });
    this.mmio = new VirtioMmio({
      space: this.space,
      base: REGISTERS,
      device: this.net,
      interrupt: () => {},
      host: {
        defer: (task) => void this.#later.push(task),
        after: () => ({ [Symbol.dispose]: () => {} }),
        now: () => 0,
      },
    });
    this.driver = new MmioDriver(this.space, REGISTERS);
    this.driver.negotiate(wanted.or(FeatureSet.of(...layout)));
    if (!idle) this.startQueues();
  }

  /** Starts all queues that the driver knows of, and says that it is ready. */
  startQueues(): void {
    const pairs = this.net.queues.length >>> 1;
    const several = this.driver.features.has(NetFeature.Mq) || this.driver.features.has(NetFeature.Rss);
    const count = several ? 2 * pairs + 1 : 3;
    for (let index = 0; index < count; index++) {
      this.rings[index] = this.driver.startQueue(index, gpa(RINGS + 0x1_0000 * index), 16);
    }
    this.driver.ready();
    this.settle();
  }

  /** Lets everything that was put off happen. */
  settle(): void {
    for (let task = this.#later.shift(); task !== undefined; task = this.#later.shift()) task();
  }

  /** A new buffer with some bytes in it. */
  buffer(bytes: ArrayLike<number> | number): { address: ReturnType<typeof gpa>; length: number } {
    const address = gpa(this.#next);
    this.#next += BUFFER_BYTES;
    if (this.#next > 30 * MiB) this.#next = BUFFERS;
    const data = typeof bytes === "number" ? new Uint8Array(bytes) : Uint8Array.from(bytes);
    this.space.copyTo(address, data);
    return { address, length: data.length };
  }

  /** Offers what is to be sent, in pieces, and notifies. */
  transmit(pieces: readonly ArrayLike<number>[], pair = 0): void {
    this.ring(2 * pair + 1).add(
      pieces.map((piece) => this.buffer(piece)),
      [],
    );
    this.kick(2 * pair + 1);
  }

  /** Sends a frame with a header. */
  send(frame: Uint8Array, header: Partial<NetHeader> = {}, pair = 0): void {
    this.transmit([[...netHeader(header, this.headerBytes), ...frame]], pair);
  }

  /** Bytes of the header that was negotiated. */
  get headerBytes(): number {
    return this.driver.features.has(NetFeature.HashReport) ? 20 : 12;
  }

  /** The ring of a queue. */
  ring(index: number): RingDriver {
    return this.rings[index] as RingDriver;
  }

  /** Shows what was offered, and notifies where that is wanted. */
  kick(index: number): void {
    if (this.ring(index).publish()) this.mmio.runner.queue(index)?.kick();
    this.settle();
  }

  /** Gives the card buffers for frames. */
  give(lengths: readonly number[], pair = 0): number[] {
    const addresses = lengths.map((length) => {
      const range = this.buffer(length);
      this.ring(2 * pair).add([], [range]);
      return range.address;
    });
    this.kick(2 * pair);
    return addresses;
  }

  /** What came back from a queue. */
  back(index: number): { id: number; written: number }[] {
    const all = [];
    for (let used = this.ring(index).used(); used !== undefined; used = this.ring(index).used()) all.push(used);
    return all;
  }

  /** Reads bytes. */
  bytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.space.copyFrom(gpa(address), bytes);
    return bytes;
  }

  /** Sends a command. @returns the acknowledgement and what is in front of it */
  control(bytes: ArrayLike<number>, answer = 0): { ack: number | undefined; answer: Uint8Array } {
    const index = this.rings.length - 1;
    const reply = this.buffer(answer + 1);
    this.space.copyTo(reply.address, new Uint8Array(answer + 1).fill(0xee));
    this.ring(index).add([this.buffer(bytes)], [reply]);
    this.kick(index);
    const used = this.back(index);
    const got = this.bytes(reply.address, answer + 1);
    return { ack: used.length === 1 ? got[answer] : undefined, answer: got.subarray(0, answer) };
  }

  [Symbol.dispose](): void {
    this.mmio[Symbol.dispose]();
    this.net[Symbol.dispose]();
    this.space[Symbol.dispose]();
  }
}

/** The fields of a header. */
export interface NetHeader {
  flags: number;
  gso: number;
  headerLength: number;
  segmentSize: number;
  start: number;
  offset: number;
  buffers: number;
}

/** Bytes of a header. */
export function netHeader(header: Partial<NetHeader>, length: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(length));
  view.setUint8(0, header.flags ?? 0);
  view.setUint8(1, header.gso ?? 0);
  view.setUint16(2, header.headerLength ?? 0, true);
  view.setUint16(4, header.segmentSize ?? 0, true);
  view.setUint16(6, header.start ?? 0, true);
  view.setUint16(8, header.offset ?? 0, true);
  view.setUint16(10, header.buffers ?? 0, true);
  return new Uint8Array(view.buffer);
}
