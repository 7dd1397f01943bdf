/** A driver of block devices, for tests: one request at a time, its bytes in as many pieces of memory as a test likes. */
import { MmioDriver, type RingDriver } from "@virtspace/conformance";
import { type GuestAddress, type GuestRange, gpa, MiB, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, type Logger, silentLogger, VirtioFeature, VirtioMmio, type VirtioPlugin } from "@virtspace/virtio";

const REGISTERS = gpa(0xd000_0000);
const RINGS = gpa(0x10_0000);
const TO_DEVICE = gpa(0x20_0000);
const FROM_DEVICE = gpa(0x30_0000);
const CONFIG = 0x100;

/** A request. */
export interface BlockRequest {
  readonly type: number;
  readonly sector?: number;
  /** What follows its head. */
  readonly data?: Uint8Array;
  /** Bytes that the device may write before the status. */
  readonly room?: number;
  /** Bytes of each piece; all in one unless given. */
  readonly pieces?: number;
  readonly queue?: number;
}

/** What came back. */
export interface BlockAnswer {
  readonly status: number;
  readonly data: Uint8Array;
  /** What the device says it wrote. */
  readonly written: number;
}

/** A machine with a disk, and its driver. */
export class BlockDriver implements AsyncDisposable {
  readonly space: VirtAddressSpace = VirtAddressSpace.create({ name: "guest" });
  readonly mmio: VirtioMmio;
  readonly registers: MmioDriver;
  readonly #rings: RingDriver[];
  readonly #device: Partial<AsyncDisposable>;

  constructor(plugin: VirtioPlugin, { features = [] as readonly number[], log = silentLogger as Logger, machine = "guest" } = {}) {
    this.space.map({ name: "ram", base: gpa(0), memory: sharedMemory(8 * MiB) });
    const device = plugin.create({ machine, random: () => {}, log });
    this.#device = device as Partial<AsyncDisposable>;
    this.mmio = new VirtioMmio({ space: this.space, base: REGISTERS, device, interrupt: () => {}, log });
    this.registers = new MmioDriver(this.space, REGISTERS);
    this.registers.negotiate(FeatureSet.of(VirtioFeature.Version1, ...features));
    this.#rings = device.queues.map((_, i) => this.registers.startQueue(i, gpa(RINGS + i * 0x1_0000)));
    this.registers.ready();
  }

  /** Bytes of the configuration. */
  config(size: number): DataView {
    const bytes = Uint8Array.from({ length: size }, (_, i) => this.space.readU8(gpa(REGISTERS + CONFIG + i)) ?? 0);
    return new DataView(bytes.buffer);
  }

  /** Has the device do something. */
  async request({ type, sector = 0, data = new Uint8Array(0), room = 0, pieces, queue = 0 }: BlockRequest): Promise<BlockAnswer> {
    const head = new DataView(new ArrayBuffer(16));
    head.setUint32(0, type, true);
    head.setBigUint64(8, BigInt(sector), true);
    const given = Buffer.concat([new Uint8Array(head.buffer), data]);
    this.space.copyTo(TO_DEVICE, given);
    const written = await this.send(cut(TO_DEVICE, given.length, pieces), cut(FROM_DEVICE, room + 1, pieces), queue);
    const answer = new Uint8Array(room + 1);
    this.space.copyFrom(FROM_DEVICE, answer);
    return { status: answer[room] as number, data: answer.subarray(0, room), written };
  }

  /** Offers any buffer, and waits until it is back. What is to be written is full of 0xee before. @returns bytes that were written */
  async send(readable: readonly GuestRange[], writable: readonly GuestRange[], queue = 0): Promise<number> {
    for (const { address, length } of writable) this.space.fill(address, length, 0xee);
    const ring = this.#rings[queue] as RingDriver;
    ring.add(readable, writable);
    ring.publish();
    this.registers.notify(queue);
    for (;;) {
      const used = ring.used();
      if (used !== undefined) return used.written;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mmio[Symbol.dispose]();
    await this.#device[Symbol.asyncDispose]?.();
    this.space[Symbol.dispose]();
  }
}

/** Cuts a run of memory in pieces. */
function cut(at: GuestAddress, length: number, pieces = length): GuestRange[] {
  return Array.from({ length: Math.ceil(length / pieces) }, (_, i) => ({
    address: gpa(at + i * pieces),
    length: Math.min(pieces, length - i * pieces),
  }));
}
