/**
 * What the tests of this package share: a front-end as QEMU is one, scripted message by message, with a guest's memory and drivers
 * behind it; devices that are easy to watch; and counting what the process has.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PackedDriver, type RingDriver, SplitDriver, type UsedBuffer } from "@virtspace/conformance";
import { EventFd, type Fd, Memfd, MemfdMemory, UnixSocket } from "@virtspace/host-linux";
import { type GuestRange, gpa, KiB, type Region, VirtAddressSpace } from "@virtspace/virt-address-space";
import {
  type Chain,
  ConfigBytes,
  type DeviceContext,
  FeatureSet,
  type Logger,
  type QueueState,
  VirtioDeviceType,
  VirtioFeature,
  type Virtqueue,
} from "@virtspace/virtio";
import { type ServeOptions, type VhostUserDevice, VhostUserServer } from "./index.ts";
import { LAYOUTS, type RegionPayload, readPayload, writeRegions } from "./protocol/layout.ts";
import { encodeRequest, HEADER_BYTES } from "./protocol/message-codec.ts";
import { BACKEND_REQUESTS, type MessageKind, REQUESTS, type RequestName } from "./protocol/message-table.ts";
import { F_LOG_ALL, F_PROTOCOL_FEATURES, ProtocolFeature } from "./protocol/protocol-feature.ts";

/** File descriptors of this process. */
export const openFds = (): number => readdirSync("/proc/self/fd").length;
/** Mappings of memory files in this process. */
export const memfdMappings = (): number => readFileSync("/proc/self/maps", "utf8").match(/memfd:/g)?.length ?? 0;

/** A folder that goes with the test. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "vhost-user-"));

  at(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Waits until something is so; fails after some seconds. */
export async function until(what: string, holds: () => boolean, milliseconds = 5000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${milliseconds} ms`);
    await turn();
  }
}

/** Lets one turn of the event loop pass. */
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** Lets everything that is on its way arrive, where nothing can be waited for because nothing is to happen. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 25));

/** Layouts of queues, each by what is negotiated for it. */
export const layouts: readonly (readonly [name: string, features: FeatureSet])[] = [
  ["split", FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingEventIdx, VirtioFeature.RingIndirectDesc)],
  ["packed", FeatureSet.of(VirtioFeature.Version1, VirtioFeature.RingEventIdx, VirtioFeature.RingPacked)],
];
/** What most tests negotiate. */
export const SPLIT: FeatureSet = layouts[0]?.[1] as FeatureSet;

/** Bytes of the memory that a front-end has unless told otherwise. */
export const RAM_BYTES: number = 1024 * KiB;
/** Where the front-end sees the guest's address 0. */
export const USER_BASE = 0x7f00_0000_0000;
const RINGS = 0x1000;
const BUFFERS = 0x4_0000;
const DATA_BYTES = 512;

/** A region of a front-end's memory. */
export interface GuestRegion {
  readonly payload: RegionPayload;
  readonly file: Memfd;
  readonly region: Region;
}

/** A message that came. */
export interface Answer {
  readonly id: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: readonly Fd[];
}

/** A socket on which messages come. */
export class MessageStream {
  readonly socket: UnixSocket;
  /** Descriptors that came; they are closed with the front-end. */
  readonly received: Fd[] = [];

  constructor(socket: UnixSocket) {
    this.socket = socket;
  }

  /** The next message; undefined where the other side has closed. */
  async next(milliseconds = 5000): Promise<Answer | undefined> {
    const head = new Uint8Array(HEADER_BYTES);
    const before = this.received.length;
    if (!(await this.#fill(head, milliseconds))) return undefined;
    const view = new DataView(head.buffer);
    const payload = new Uint8Array(view.getUint32(8, true));
    if (!(await this.#fill(payload, milliseconds))) return undefined;
    return { id: view.getUint32(0, true), flags: view.getUint32(4, true), payload, fds: this.received.slice(before) };
  }

  async #fill(target: Uint8Array, milliseconds: number): Promise<boolean> {
    const end = performance.now() + milliseconds;
    for (let have = 0; have < target.length; ) {
      const got = this.socket.receive(target, have);
      if (got === undefined) {
        if (performance.now() > end) throw new Error(`no answer within ${milliseconds} ms`);
        await turn();
        continue;
      }
      this.received.push(...got.fds);
      if (got.length === 0) return false;
      have += got.length;
    }
    return true;
  }
}

/** A ring on the front-end's side. */
export interface FrontEndRing {
  readonly index: number;
  readonly driver: RingDriver;
  kick: EventFd;
  call: EventFd;
  readonly error: EventFd;
}

/** How a front-end sets itself up. */
export interface FrontEndOptions {
  /** Device features; split queues unless given. */
  readonly features?: FeatureSet;
  /** Protocol features; all that are offered unless given. */
  readonly protocol?: readonly number[];
  /** Rings that are started; the first one unless given. */
  readonly rings?: number;
  /** Descriptors of each; 16 unless given. */
  readonly size?: number;
}

/** A front-end: its socket, its guest's memory, its guest's drivers. */
export class FrontEnd implements Disposable {
  stream: MessageStream;
  /** The guest's memory. */
  readonly space: VirtAddressSpace = VirtAddressSpace.create({ name: "guest" });
  readonly regions: GuestRegion[] = [];
  readonly rings: FrontEndRing[] = [];
  readonly #kept = new DisposableStack();
  #nextBuffer = BUFFERS;
  #protocol: FeatureSet = FeatureSet.none;
  features: FeatureSet = FeatureSet.none;

  constructor(socket: UnixSocket) {
    this.stream = new MessageStream(socket);
  }

  /** Connects. */
  static connect(path: string): FrontEnd {
    return new FrontEnd(UnixSocket.connect(path));
  }

  /** Connects, and goes the whole way to running rings. */
  static async started(path: string, options: FrontEndOptions = {}): Promise<FrontEnd> {
    const frontEnd = FrontEnd.connect(path);
    await frontEnd.greet(options);
    frontEnd.addMemory();
    await frontEnd.tellMemory();
    for (let index = 0; index < (options.rings ?? 1); index++) await frontEnd.startRing(frontEnd.addRing(index, options.size));
    return frontEnd;
  }

  /** Goes to a back-end that comes after another: the guest notices nothing. */
  async comeAgain(path: string): Promise<void> {
    this.stream.socket[Symbol.dispose]();
    const { received } = this.stream;
    this.stream = new MessageStream(UnixSocket.connect(path));
    this.stream.received.push(...received);
    await this.greet({ features: this.features });
    await this.tellMemory();
  }

  /** Keeps something until the end. */
  keep<T extends Disposable>(resource: T): T {
    return this.#kept.use(resource);
  }

  /** Sends bytes as they are. */
  send(bytes: Uint8Array, fds: readonly Fd[] = []): number | undefined | "gone" {
    return this.stream.socket.send(
      bytes,
      fds.map((fd) => fd.number),
    );
  }

  /** Sends a request. */
  request(name: RequestName, payload: Readonly<Record<string, unknown>> = {}, fds: readonly Fd[] = [], needReply = false): void {
    this.send(encodeRequest(name, payload, needReply), fds);
  }

  /** Sends a request and waits for its own reply. */
  async ask(
    name: RequestName,
    payload: Readonly<Record<string, unknown>> = {},
    fds: readonly Fd[] = [],
  ): Promise<Record<string, unknown> & { readonly fds: readonly Fd[] }> {
    this.request(name, payload, fds);
    return this.#answer(name);
  }

  /** Sends a request with need_reply. @returns the number that says whether it worked: 0, it did */
  async told(name: RequestName, payload: Readonly<Record<string, unknown>> = {}, fds: readonly Fd[] = []): Promise<number> {
    this.request(name, payload, fds, true);
    return Number((await this.#answer(name))["value"]);
  }

  async #answer(name: RequestName): Promise<Record<string, unknown> & { readonly fds: readonly Fd[] }> {
    const kind: MessageKind = REQUESTS[name];
    const answer = await this.stream.next();
    if (answer === undefined) throw new Error(`${name}: the back-end closed the connection`);
    if (answer.id !== kind.id || answer.flags !== 5) throw new Error(`${name}: answered by ${answer.id} with flags ${answer.flags}`);
    const payload = readPayload(LAYOUTS[kind.reply ?? "u64"], answer.payload);
    if (payload === undefined) throw new Error(`${name}: answered by ${answer.payload.length} bytes`);
    return { ...payload, fds: answer.fds };
  }

  /** Waits until the back-end has closed the connection, past all that it still answers. */
  async closed(): Promise<void> {
    while ((await this.stream.next()) !== undefined);
  }

  /** Agrees on features, as QEMU does. @returns the protocol features that were offered */
  async greet({ features = SPLIT, protocol }: FrontEndOptions = {}): Promise<FeatureSet> {
    await this.ask("GET_FEATURES");
    const offered = FeatureSet.fromBigInt((await this.ask("GET_PROTOCOL_FEATURES"))["value"] as bigint);
    this.#protocol = protocol === undefined ? offered : FeatureSet.of(...protocol);
    this.request("SET_PROTOCOL_FEATURES", { value: this.#protocol.toBigInt() });
    this.request("SET_OWNER");
    this.setFeatures(features);
    return offered;
  }

  /** Settles the device's features. */
  setFeatures(features: FeatureSet, logging = false): void {
    this.features = features;
    const all = features.or(FeatureSet.of(F_PROTOCOL_FEATURES, ...(logging ? [F_LOG_ALL] : [])));
    this.request("SET_FEATURES", { value: all.toBigInt() });
  }

  /** Makes memory and shows it to the guest. */
  addMemory(guestAddress = 0, size: number = RAM_BYTES, userAddress: number = USER_BASE + guestAddress, mmapOffset = 0): GuestRegion {
    const file = this.keep(Memfd.create(size + mmapOffset, "guest"));
    const memory = new MemfdMemory(file.duplicate(), { size, offset: mmapOffset });
    const region = this.space.map({ name: `ram ${guestAddress}`, base: gpa(guestAddress), memory });
    const made = { payload: { guestAddress, size, userAddress, mmapOffset }, file, region };
    this.regions.push(made);
    return made;
  }

  /** Takes memory from the guest; the back-end is not told. */
  dropMemory(gone: GuestRegion): void {
    this.regions.splice(this.regions.indexOf(gone), 1);
    this.space.unmap(gone.region);
  }

  /** Sends the whole table. */
  async tellMemory(regions: readonly GuestRegion[] = this.regions): Promise<number | undefined> {
    const payload = memoryTable(regions.map((region) => region.payload));
    const files = regions.map(({ file }) => file);
    if (this.#protocol.has(ProtocolFeature.ReplyAck)) return this.told("SET_MEM_TABLE", payload, files);
    this.request("SET_MEM_TABLE", payload, files);
    return undefined;
  }

  /** Makes a ring in the guest's memory. */
  addRing(index: number, size = 16, base: number = RINGS + 0x4000 * index): FrontEndRing {
    const place = { base: gpa(base), size, features: this.features };
    const driver = this.features.has(VirtioFeature.RingPacked) ? new PackedDriver(this.space, place) : new SplitDriver(this.space, place);
    const [kick, call, error] = [EventFd.create(), EventFd.create(), EventFd.create()];
    const ring = { index, driver, kick: this.keep(kick), call: this.keep(call), error: this.keep(error) };
    this.rings[index] = ring;
    driver.wantInterrupts(true);
    return ring;
  }

  /** The ring's addresses as the front-end sees them. */
  addresses({ index, driver }: FrontEndRing): Readonly<Record<string, unknown>> {
    const { descriptors, driver: available, device: used } = driver.config(index);
    const [d, a, u] = [descriptors, available, used].map((address) => this.userAddress(address));
    return { index, flags: 0, descriptors: d, available: a, used: u, log: 0 };
  }

  /** Where the front-end sees a guest's address. */
  userAddress(address: number): number {
    for (const { payload } of this.regions) {
      const offset = address - payload.guestAddress;
      if (offset >= 0 && offset < payload.size) return payload.userAddress + offset;
    }
    throw new Error(`${address} is in no region`);
  }

  /** Where a ring stands before anything happened. */
  get freshBase(): number {
    return this.features.has(VirtioFeature.RingPacked) ? 0x8000_8000 : 0;
  }

  /** Starts a ring, as QEMU does. */
  async startRing(ring: FrontEndRing, base: number = this.freshBase): Promise<void> {
    const { index, driver, kick, call, error } = ring;
    const value = BigInt(index);
    this.request("SET_VRING_NUM", { index, num: driver.size });
    this.request("SET_VRING_BASE", { index, num: base });
    this.request("SET_VRING_ADDR", this.addresses(ring));
    this.request("SET_VRING_ERR", { value }, [error]);
    this.request("SET_VRING_KICK", { value }, [kick]);
    this.request("SET_VRING_CALL", { value }, [call]);
    this.request("SET_VRING_ENABLE", { index, num: 1 });
    await this.inStep();
  }

  /** Waits until everything that was sent is done. */
  async inStep(): Promise<void> {
    await this.ask("GET_FEATURES");
  }

  /** Stops a ring. @returns where it stood */
  async stopRing(index: number): Promise<number> {
    return (await this.ask("GET_VRING_BASE", { index, num: 0 }))["num"] as number;
  }

  /** A place for a buffer, with bytes in it. */
  buffer(bytes: ArrayLike<number> | number): GuestRange {
    const address = gpa(this.#nextBuffer);
    this.#nextBuffer += DATA_BYTES;
    if (this.#nextBuffer >= 0xc_0000) this.#nextBuffer = BUFFERS;
    const data = typeof bytes === "number" ? new Uint8Array(bytes) : Uint8Array.from(bytes);
    this.space.copyTo(address, data);
    return { address, length: data.length };
  }

  /** Reads guest memory. */
  bytes(address: number, length: number): number[] {
    const bytes = new Uint8Array(length);
    this.space.copyFrom(gpa(address), bytes);
    return [...bytes];
  }

  ring(index = 0): FrontEndRing {
    return this.rings[index] as FrontEndRing;
  }

  /** Offers a buffer for an echo, without a word. @returns where the answer will be */
  offer(bytes: readonly number[], index = 0): GuestRange {
    const answer = this.buffer(bytes.length);
    if (this.ring(index).driver.add([this.buffer(bytes)], [answer]) === undefined) throw new Error("no free descriptors");
    return answer;
  }

  /** Shows the device what was offered, and notifies it where it wants that. */
  notify(index = 0): void {
    const { driver, kick } = this.ring(index);
    if (driver.publish()) kick.signal();
  }

  /** Everything that came back so far. */
  back(index = 0): UsedBuffer[] {
    const all: UsedBuffer[] = [];
    const { driver } = this.ring(index);
    for (let used = driver.used(); used !== undefined; used = driver.used()) all.push(used);
    return all;
  }

  /** Waits for buffers that come back, as a driver does: by interrupts. */
  async returned(count: number, index = 0): Promise<UsedBuffer[]> {
    const all: UsedBuffer[] = [];
    const { driver, call } = this.ring(index);
    const end = performance.now() + 5000;
    for (;;) {
      all.push(...this.back(index));
      if (all.length >= count) return all;
      if (driver.wantInterrupts(true)) continue;
      while (call.take() === 0) {
        if (performance.now() > end) throw new Error(`${all.length} of ${count} buffers came back`);
        await turn();
      }
    }
  }

  /** Sends bytes through the echo device. @returns what came back */
  async echo(bytes: readonly number[], index = 0): Promise<number[]> {
    const answer = this.offer(bytes, index);
    this.notify(index);
    await this.returned(1, index);
    return this.bytes(answer.address, answer.length);
  }

  /** Gives the back-end a channel of its own. */
  async giveChannel(): Promise<MessageStream> {
    const [ours, theirs] = UnixSocket.pair();
    using given = theirs;
    this.request("SET_BACKEND_REQ_FD", {}, [given]);
    await this.inStep();
    return new MessageStream(this.keep(ours));
  }

  [Symbol.dispose](): void {
    this.stream.socket[Symbol.dispose]();
    for (const fd of this.stream.received) fd[Symbol.dispose]();
    this.space[Symbol.dispose]();
    this.#kept.dispose();
  }
}

/** A table of regions as a payload. */
export const memoryTable = (regions: readonly RegionPayload[]): Readonly<Record<string, unknown>> => ({
  count: regions.length,
  regions: writeRegions(regions).subarray(8),
});

/** What a message of the back-end's own is. */
export function backendRequest({ id, payload }: Answer): readonly [name: string | undefined, payload: unknown] {
  const found = Object.entries(BACKEND_REQUESTS).find(([, kind]) => kind.id === id);
  return [found?.[0], found === undefined ? undefined : readPayload(LAYOUTS[found[1].payload], payload)];
}

/** Answers each buffer with what is in it; keeps them back while it is told to. */
export class EchoDevice implements VhostUserDevice, Disposable {
  readonly name = "echo";
  readonly type: number = VirtioDeviceType.Entropy;
  readonly features: FeatureSet = FeatureSet.none;
  readonly queues = [0, 1, 2, 3].map((index) => ({ name: `requests ${index}`, size: 256 }));
  readonly config = new ConfigBytes(16, [{ offset: 8, size: 4 }]);
  readonly #queues = new Map<number, Virtqueue>();
  context: DeviceContext | undefined;
  /** Buffers that are kept back; undefined where none are. */
  kept: Chain[] | undefined;
  /** Buffers that were answered. */
  served = 0;
  resets = 0;
  mac: number | undefined;
  mtu: number | undefined;
  disposed = 0;
  memo: unknown = "fresh";

  start(context: DeviceContext): void {
    this.context = context;
  }

  startQueue(index: number, queue: Virtqueue): void {
    this.#queues.set(index, queue);
    queue.serve((chain) => {
      if (this.kept !== undefined) {
        chain.hold();
        this.kept.push(chain);
        return;
      }
      this.answer(chain);
    });
  }

  /** Answers a buffer. */
  answer(chain: Chain): void {
    const bytes = new Uint8Array(chain.readableBytes);
    chain.copyFrom(0, bytes);
    chain.copyTo(0, bytes);
    this.served++;
    if (chain.held) chain.push();
  }

  stopQueue(index: number): QueueState {
    const queue = this.#queues.get(index) as Virtqueue;
    this.#queues.delete(index);
    return queue.stop();
  }

  reset(): void {
    this.resets++;
  }

  sendRarp(mac: number): void {
    this.mac = mac;
  }

  setMtu(mtu: number): boolean {
    if (mtu < 68 || mtu > 65535) return false;
    this.mtu = mtu;
    return true;
  }

  save(): unknown {
    return this.memo;
  }

  restore(state: unknown): void {
    if (typeof state !== "string") throw new TypeError("this is no state of an echo device");
    this.memo = state;
  }

  [Symbol.dispose](): void {
    this.disposed++;
  }
}

/** A log that is kept. */
export class KeptLog implements Logger {
  readonly lines: string[] = [];
  readonly debug = (message: string): void => this.#keep("debug", message);
  readonly info = (message: string): void => this.#keep("info", message);
  readonly warn = (message: string): void => this.#keep("warn", message);
  readonly error = (message: string): void => this.#keep("error", message);

  #keep(level: string, message: string): void {
    this.lines.push(`${level}: ${message}`);
  }
}

/** A server of echo devices, and what became of its front-ends. */
export class EchoServer implements Disposable {
  readonly server: VhostUserServer;
  readonly devices: EchoDevice[] = [];
  readonly log = new KeptLog();
  /** Why front-ends left: a code, or undefined. */
  readonly left: (string | undefined)[] = [];
  readonly path: string;

  constructor(path: string, options: Partial<ServeOptions> = {}) {
    this.path = path;
    this.server = VhostUserServer.listen({
      path,
      log: this.log,
      device: () => {
        const device = new EchoDevice();
        this.devices.push(device);
        return device;
      },
      onLeave: (_, error) => this.left.push(error === undefined ? undefined : ((error as { code?: string }).code ?? error.message)),
      ...options,
    });
  }

  /** The newest device. */
  get device(): EchoDevice {
    return this.devices.at(-1) as EchoDevice;
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]();
  }
}
