/**
 * A front-end that is connected: reads its messages, does what they say, answers. What it does wrong ends the session, or is
 * answered with a failure where it asked for a reply; it harms no other.
 *
 * @see QEMU, docs/interop/vhost-user.rst
 * @module
 */
import type { Fd, Poller, UnixSocket, Watch } from "@virtspace/host-linux";
import { VirtAddressSpace } from "@virtspace/virt-address-space";
import { FeatureSet, type Logger, QUEUE_FEATURES } from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { RingFiles } from "../inflight/ring-files.ts";
import { RingTables } from "../inflight/ring-tables.ts";
import { MigrationLog } from "../memory/migration-log.ts";
import { MOST_REGIONS, PeerMemory } from "../memory/peer-memory.ts";

import { type PayloadOf, readRegions } from "../protocol/layout.ts";
import { encodeEmptyReply, encodeReply, type Request } from "../protocol/message-codec.ts";
import { type MessageKind, REQUESTS, type RequestName } from "../protocol/message-table.ts";
import { F_LOG_ALL, F_PROTOCOL_FEATURES, ProtocolFeature } from "../protocol/protocol-feature.ts";
import { BackendChannel } from "./backend-channel.ts";
import { type Incoming, MessageReader } from "./message-reader.ts";
import { Rings } from "./rings.ts";
import { StateTransfer } from "./state-transfer.ts";
import type { VhostUserDevice } from "./vhost-user-device.ts";

/** What a session is made with. */
export interface SessionParts {
  readonly socket: UnixSocket;
  readonly device: VhostUserDevice;
  readonly poller: Poller;
  readonly log: Logger;
  readonly unsealed: boolean;
  /** Where to write down what is in flight, if the front-end keeps no tables of it. */
  readonly files: RingFiles | undefined;
  /** How long a queue looks for more after a buffer, microseconds. */
  readonly pollMicroseconds: number;
  /** Features that are not offered, whatever the device and its queues can do. */
  readonly withheld: FeatureSet;
  /** The session has ended; an error where the peer did something wrong. */
  ended(error: Error | undefined): void;
}

const TRANSPORT = FeatureSet.of(F_PROTOCOL_FEATURES, F_LOG_ALL);
const NO_FD = 0x100n;
const INDEX = 0xffn;
const FAILED = 1n;
/** DEVICE_NEEDS_RESET. @see virtio 1.3, section 2.1 */
const NEEDS_RESET = 0x40n;
/** Messages of one turn of the event loop. */
const BUDGET = 64;
const CONFIG_BYTES = 256;

type Reply = Readonly<Record<string, unknown>> & { readonly fds?: readonly Fd[] };
/** An answer without a payload says that there is none. */
type Answer = Reply | "empty" | undefined | Promise<Reply | undefined>;

/** A session. Dispose it to end it. */
export class Session implements Disposable {
  /** The front-end's memory, as a space. */
  readonly space: VirtAddressSpace = VirtAddressSpace.create({ name: "front-end" });
  /** Its rings and the device. */
  readonly rings: Rings;
  readonly #parts: SessionParts;
  readonly #memory: PeerMemory;
  readonly #log: MigrationLog;
  readonly #tables: RingTables;
  readonly #reader: MessageReader;
  readonly #watch: Watch;
  #protocol: FeatureSet = FeatureSet.none;
  #owned = false;
  #channel: BackendChannel | undefined;
  #transfer: StateTransfer | undefined;
  #status = 0n;
  /** Kinds of messages that were refused. */
  readonly #refused = new Set<RequestName>();
  /** Whether a message is being answered, and others wait. */
  #busy = false;
  readonly #waiting: Incoming[] = [];
  #open = true;

  constructor(parts: SessionParts) {
    const { socket, device, poller, log, unsealed, files, pollMicroseconds } = parts;
    this.#parts = parts;
    this.#memory = new PeerMemory(this.space, unsealed);
    this.#log = new MigrationLog(this.space, unsealed);
    this.#tables = new RingTables(device.queues.length, files, unsealed);
    this.#reader = new MessageReader(socket);
    this.rings = new Rings(device, {
      space: this.space,
      memory: this.#memory,
      poller,
      log,
      tables: this.#tables,
      pollMicroseconds,
      kicksInBand: () => this.#protocol.has(ProtocolFeature.InbandNotifications),
      callInBand: (index) => this.#tell("VRING_CALL", ProtocolFeature.InbandNotifications, { index, num: 0 }),
      errorInBand: (index) => this.#tell("VRING_ERR", ProtocolFeature.InbandNotifications, { index, num: 0 }),
      configChanged: () => this.#tell("CONFIG_CHANGE_MSG", ProtocolFeature.Config),
    });
    this.#watch = poller.watch(socket, { readable: true }, () => this.#read());
  }

  #tell(name: "VRING_CALL" | "VRING_ERR" | "CONFIG_CHANGE_MSG", feature: number, payload?: Readonly<Record<string, unknown>>): void {
    if (this.#protocol.has(feature)) this.#channel?.send(name, payload);
  }

  #read(): void {
    for (let left = BUDGET; left > 0 && this.#open; left--) {
      try {
        const incoming = this.#reader.next();
        if (incoming === undefined) return;
        if (incoming === "closed") return this.#end(undefined);
        if (this.#busy) this.#putOff(incoming);
        else this.#handle(incoming);
      } catch (error) {
        return this.#end(error as Error);
      }
    }
  }

  /** Messages are read while one is being answered, as the peer may go away meanwhile. */
  #putOff(incoming: Incoming): void {
    this.#waiting.push(incoming);
    if (this.#waiting.length > BUDGET) throw new VhostUserError("out-of-order", "the peer does not wait for the answer that it asked for");
  }

  #handle({ request, fds }: Incoming): void {
    let answer: Answer;
    try {
      this.#requireAllowed(request.name);
      answer = this.#do(request, fds);
    } catch (error) {
      this.#failed(request, error as Error);
      return;
    } finally {
      // Whoever wanted one has taken its number.
      for (const fd of fds) fd[Symbol.dispose]();
    }
    if (!(answer instanceof Promise)) {
      this.#answer(request, answer);
      return;
    }
    this.#busy = true;
    void answer
      .then((reply) => this.#open && this.#answer(request, reply))
      .catch((error: Error) => this.#end(error))
      .finally(() => this.#goOn());
  }

  #goOn(): void {
    this.#busy = false;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#busy ? undefined : this.#waiting.shift()) this.#handle(next);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  /** A failure is answered where the peer can hear it; else there is no telling what it believes now. */
  #failed(request: Request, error: Error): void {
    const kind: MessageKind = REQUESTS[request.name];
    if (!(request.needReply && this.#protocol.has(ProtocolFeature.ReplyAck)) || kind.reply !== undefined) throw error;
    this.#report(request.name, error);
    this.#send(encodeReply(request.name, { value: FAILED }));
  }

  /** Once for each kind: a peer must not fill a log. */
  #report(name: RequestName, error: Error): void {
    if (this.#refused.has(name)) return;
    this.#refused.add(name);
    this.#parts.log.warn(`${name} was refused: ${error.message}`, { code: VhostUserError.is(error) ? error.code : undefined });
  }

  #answer({ name, needReply }: Request, reply: Reply | "empty" | undefined): void {
    const kind: MessageKind = REQUESTS[name];
    if (reply === "empty") {
      this.#send(encodeEmptyReply(name));
    } else if (kind.reply !== undefined && reply !== undefined) {
      this.#send(
        encodeReply(name, reply),
        (reply.fds ?? []).map((fd) => fd.number),
      );
    } else if (needReply && this.#protocol.has(ProtocolFeature.ReplyAck)) {
      this.#send(encodeReply(name, { value: 0n }));
    }
  }

  #send(bytes: Uint8Array, fds: readonly number[] = []): void {
    const sent = this.#parts.socket.send(bytes, fds);
    // A reply is short: who has no room for one does not read.
    if (sent !== bytes.length) this.#end(new VhostUserError("cut-off", "the peer does not read what it is answered"));
  }

  #requireAllowed(name: RequestName): void {
    const { feature, owned }: MessageKind = REQUESTS[name];
    if (feature !== undefined && !this.#protocol.has(feature)) {
      throw new VhostUserError("not-negotiated", `${name} came without its protocol feature ${feature}`);
    }
    if (owned === true && !this.#owned) throw new VhostUserError("out-of-order", `${name} came before SET_OWNER`);
  }

  #do(request: Request, fds: readonly Fd[]): Answer {
    const { rings } = this;
    const { device } = this.#parts;
    switch (request.name) {
      case "GET_FEATURES":
        return { value: BigInt.asUintN(64, this.#offered().toBigInt()) };
      case "SET_FEATURES":
        return this.#setFeatures(request.payload.value);
      case "SET_OWNER":
        this.#owned = true;
        return;
      case "RESET_OWNER":
        // Long out of use; what was told stays, as some back-ends discarded it and front-ends broke.
        rings.disable();
        return;
      case "RESET_DEVICE":
        this.#reset();
        rings.disable();
        return;
      case "SET_MEM_TABLE":
        return this.#setMemory(request.payload, fds);
      case "ADD_MEM_REG":
        this.#memory.add(request.payload, fds[0] as Fd);
        rings.memoryChanged();
        return;
      case "REM_MEM_REG":
        this.#memory.remove(request.payload);
        rings.memoryChanged();
        return;
      case "GET_MAX_MEM_SLOTS":
        return { value: BigInt(MOST_REGIONS) };
      case "SET_LOG_BASE":
        this.#log.set(request.payload, fds[0] as Fd);
        return { value: 0n };
      case "SET_LOG_FD":
        this.#log.ring(fds[0] as Fd);
        return;
      case "SET_VRING_NUM":
        return rings.setSize(request.payload);
      case "SET_VRING_ADDR":
        return rings.setAddresses(request.payload);
      case "SET_VRING_BASE":
        return rings.setBase(request.payload);
      case "GET_VRING_BASE":
        return this.#stopRing(request.payload.index);
      case "SET_VRING_KICK":
        return rings.setKick(...ringFd(request.payload.value, fds));
      case "SET_VRING_CALL":
        return rings.setCall("call", ...ringFd(request.payload.value, fds));
      case "SET_VRING_ERR":
        return rings.setCall("error", ...ringFd(request.payload.value, fds));
      case "SET_VRING_ENABLE":
        return rings.setEnabled(request.payload);
      case "VRING_KICK":
        return rings.kick(request.payload.index);
      case "GET_PROTOCOL_FEATURES":
        return { value: this.#protocolOffered().toBigInt() };
      case "SET_PROTOCOL_FEATURES":
        return this.#setProtocol(FeatureSet.fromBigInt(request.payload.value));
      case "GET_QUEUE_NUM":
        return { value: BigInt(device.queueLimit ?? device.queues.length) };
      case "SEND_RARP":
        device.sendRarp?.(rarpMac(request.payload.value));
        return;
      case "NET_SET_MTU":
        if (device.setMtu?.(Number(request.payload.value)) !== true) throw new VhostUserError("bad-payload", "this MTU can't be");
        return;
      case "SET_BACKEND_REQ_FD":
        return this.#setChannel(fds[0] as Fd);
      case "GET_CONFIG":
        return this.#getConfig(request.payload);
      case "SET_CONFIG":
        return this.#setConfig(request.payload);
      case "GET_INFLIGHT_FD":
        rings.requireAllStopped("the tables of what is in flight");
        return this.#tables.make(request.payload);
      case "SET_INFLIGHT_FD":
        rings.requireAllStopped("the tables of what is in flight");
        return this.#tables.take(request.payload, fds[0] as Fd);
      case "SET_STATUS":
        this.#status = request.payload.value;
        if (this.#status === 0n) this.#reset();
        return;
      case "GET_STATUS":
        return { value: this.#status | (rings.needsReset ? NEEDS_RESET : 0n) };
      case "SET_DEVICE_STATE_FD":
        return this.#beginTransfer(request.payload, fds[0] as Fd);
      case "CHECK_DEVICE_STATE":
        return (this.#transfer?.check() ?? Promise.resolve(false)).then((worked) => ({ value: worked ? 0n : 1n }));
    }
  }

  #offered(): FeatureSet {
    const { device, withheld } = this.#parts;
    return device.features.or(QUEUE_FEATURES).minus(withheld).or(TRANSPORT);
  }

  #protocolOffered(): FeatureSet {
    const { device } = this.#parts;
    const all = FeatureSet.of(...Object.values(ProtocolFeature));
    const lacking: number[] = [];
    if (device.sendRarp === undefined) lacking.push(ProtocolFeature.Rarp);
    if (device.setMtu === undefined) lacking.push(ProtocolFeature.NetMtu);
    if (device.save === undefined) lacking.push(ProtocolFeature.DeviceState);
    return all.minus(FeatureSet.of(...lacking));
  }

  #setProtocol(wanted: FeatureSet): undefined {
    if (!wanted.isSubsetOf(this.#protocolOffered()))
      throw new VhostUserError("not-negotiated", `protocol features ${wanted} were not all offered`);
    this.#protocol = wanted;
  }

  #setFeatures(value: bigint): undefined {
    const wanted = FeatureSet.fromBigInt(value);
    const offered = this.#offered();
    if (!wanted.isSubsetOf(offered))
      throw new VhostUserError(
        "not-negotiated",
        `features ${wanted.minus(offered)} were not offered, ${offered} were: offer them, or switch off what sets them in the front-end`,
      );
    this.rings.setFeatures(wanted.minus(TRANSPORT), !wanted.has(F_PROTOCOL_FEATURES));
    this.#log.want(wanted.has(F_LOG_ALL));
  }

  #setMemory(payload: PayloadOf<"memoryTable">, fds: readonly Fd[]): undefined {
    const regions = readRegions(payload);
    if (regions === undefined || regions.length !== fds.length) {
      throw new VhostUserError("bad-payload", `a table of ${payload.count} regions with ${fds.length} file descriptors`);
    }
    this.#memory.set(regions, fds);
    this.rings.memoryChanged();
  }

  #beginTransfer(payload: PayloadOf<"transfer">, fd: Fd): Reply {
    this.#transfer?.[Symbol.dispose]();
    this.#transfer = undefined;
    try {
      this.#transfer = new StateTransfer(payload, fd, this.#parts.device, this.#parts.poller);
    } catch (error) {
      this.#report("SET_DEVICE_STATE_FD", error as Error);
      return { value: NO_FD | FAILED };
    }
    // No descriptor of our own: the one that was given is used.
    return { value: NO_FD };
  }

  #setChannel(fd: Fd): undefined {
    const channel = new BackendChannel(fd);
    this.#channel?.[Symbol.dispose]();
    this.#channel = channel;
  }

  #reset(): void {
    this.rings.reset();
    this.#tables.reset();
  }

  #stopRing(index: number): Reply {
    const num = this.rings.stop(index);
    this.#tables.told(index);
    // Who moves the guest looks at the log after this.
    this.#log.bring();
    return { index, num };
  }

  #getConfig({ offset, size, flags }: PayloadOf<"config">): Reply | "empty" {
    if (size > CONFIG_BYTES || offset > CONFIG_BYTES) return "empty";
    const bytes = Uint8Array.from({ length: size }, (_, i) => this.#parts.device.config.read(offset + i, 1));
    return { offset, size, flags, bytes };
  }

  /** Kind 0 is a driver's write, 1 a migration's. Either writes what a driver may; the rest is in the device's own state. */
  #setConfig({ offset, size, flags, bytes }: PayloadOf<"config">): undefined {
    if (size > CONFIG_BYTES || offset > CONFIG_BYTES || bytes.length < size)
      throw new VhostUserError("bad-payload", "more than the configuration");
    if (flags > 1) throw new VhostUserError("bad-payload", `nobody knows the kind ${flags} of a write to the configuration`);
    for (let i = 0; i < size; i++) this.#parts.device.config.write(offset + i, 1, bytes[i] as number);
  }

  #end(error: Error | undefined): void {
    if (!this.#open) return;
    this[Symbol.dispose]();
    this.#parts.ended(error);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch[Symbol.dispose]();
    this.rings[Symbol.dispose]();
    this.#log[Symbol.dispose]();
    this.#memory.clear();
    this.#reader[Symbol.dispose]();
    for (const { fds } of this.#waiting.splice(0)) for (const fd of fds) fd[Symbol.dispose]();
    this.#channel?.[Symbol.dispose]();
    this.#tables[Symbol.dispose]();
    this.#transfer?.[Symbol.dispose]();
    this.space[Symbol.dispose]();
    this.#parts.socket[Symbol.dispose]();
  }
}

/** The ring of a message that carries a descriptor, or says that there is none. @throws {@link VhostUserError} `bad-fds` */
function ringFd(value: bigint, fds: readonly Fd[]): [index: number, fd: Fd | undefined] {
  const none = (value & NO_FD) !== 0n;
  if (value > (INDEX | NO_FD) || none === fds.length > 0) {
    throw new VhostUserError("bad-fds", "a ring's descriptor that says it is none, or a missing one that says it is there");
  }
  return [Number(value & INDEX), fds[0]];
}

/** The address is in the order of the wire, its first byte the lowest. */
function rarpMac(value: bigint): number {
  let mac = 0;
  for (let i = 0; i < 6; i++) mac = mac * 256 + Number((value >> BigInt(8 * i)) & 0xffn);
  return mac;
}
