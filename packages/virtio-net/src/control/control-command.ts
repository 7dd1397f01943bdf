/**
 * The commands of the control queue, as one table: class, number, the feature that a driver must have negotiated, what it does.
 * Each reads all of its fields and checks them before it changes anything.
 *
 * @see virtio 1.3, section 5.1.6.5
 * @module
 */
import { isGroup, readMac } from "@virtspace/network";
import { FeatureSet } from "@virtspace/virtio";
import { GUEST_OFFLOADS } from "../feature/guest-offloads.ts";
import { NetFeature as F } from "../feature/net-feature.ts";
import { RSS_KEY_BYTES, RSS_TABLE_ENTRIES } from "../net-config.ts";
import { MOST_FILTERED_MACS, RECEIVE_MODES } from "../receive/receive-filter.ts";
import { ALL_HASH_TYPES } from "../steering/flow-hash.ts";
import type { ControlRequest } from "./control-request.ts";
import { type Moderation, type NetSettings, NO_MODERATION } from "./net-settings.ts";

/** What commands act on. */
export interface ControlTarget {
  readonly settings: NetSettings;
  readonly features: FeatureSet;
  /** Pairs of queues that there are. */
  readonly queuePairs: number;
  /** The driver changed the device's address. */
  macChanged(mac: number): void;
  /** The driver announced itself. */
  announced(): void;
  /** Settings changed that queues and backends follow. */
  changed(): void;
}

/** What a command answers: whether it was done, and bytes for the driver in front of that. */
type ControlOutcome = boolean | Uint8Array;

/** A command. */
export interface ControlCommand {
  readonly feature: number;
  run(request: ControlRequest, target: ControlTarget): ControlOutcome;
}

const MAC_BYTES = 6;
const VLAN_IDS = 4096;

const key = (group: number, number: number): number => group * 256 + number;

/** The command of a class and number; undefined where there is none. */
export function controlCommand(group: number, number: number): ControlCommand | undefined {
  return COMMANDS.get(key(group, number));
}

const COMMANDS: ReadonlyMap<number, ControlCommand> = new Map<number, ControlCommand>([
  ...RECEIVE_MODES.map((mode, number): [number, ControlCommand] => [
    key(0, number),
    {
      feature: number < 2 ? F.CtrlRx : F.CtrlRxExtra,
      run: (request, { settings }) => setFlag(request, (on) => (settings.filter.modes[mode] = on)),
    },
  ]),
  [key(1, 0), { feature: F.CtrlRx, run: setMacTable }],
  [key(1, 1), { feature: F.CtrlMacAddr, run: setMac }],
  [key(2, 0), { feature: F.CtrlVlan, run: (request, target) => setVlan(request, target, true) }],
  [key(2, 1), { feature: F.CtrlVlan, run: (request, target) => setVlan(request, target, false) }],
  [key(3, 0), { feature: F.GuestAnnounce, run: announced }],
  [key(4, 0), { feature: F.Mq, run: setPairs }],
  [key(4, 1), { feature: F.Rss, run: setRss }],
  [key(4, 2), { feature: F.HashReport, run: setHash }],
  [key(5, 0), { feature: F.CtrlGuestOffloads, run: setOffloads }],
  [key(6, 0), { feature: F.NotfCoal, run: (request, target) => setModeration(request, target, (queue) => queue % 2 === 1) }],
  [key(6, 1), { feature: F.NotfCoal, run: (request, target) => setModeration(request, target, (queue) => queue % 2 === 0) }],
  [key(6, 2), { feature: F.VqNotfCoal, run: setQueueModeration }],
  [key(6, 3), { feature: F.VqNotfCoal, run: getQueueModeration }],
]);

function setFlag(request: ControlRequest, set: (on: boolean) => void): boolean {
  const on = request.u8();
  if (on === undefined || on > 1) return false;
  set(on === 1);
  return true;
}

function setMacTable(request: ControlRequest, { settings }: ControlTarget): boolean {
  const unicast = readMacs(request);
  const multicast = unicast && readMacs(request);
  if (unicast === undefined || multicast === undefined) return false;
  const held = (macs: readonly number[]): readonly number[] | undefined => (macs.length > MOST_FILTERED_MACS ? undefined : macs);
  settings.filter.setAddresses(held(unicast), held(multicast));
  return true;
}

/** Addresses with their number in front, which may be no more than there are. */
function readMacs(request: ControlRequest): number[] | undefined {
  const count = request.u32();
  if (count === undefined || count > request.left / MAC_BYTES) return undefined;
  const bytes = request.bytes(count * MAC_BYTES);
  return bytes && Array.from({ length: count }, (_, i) => readMac(bytes, i * MAC_BYTES));
}

function setMac(request: ControlRequest, { settings, macChanged }: ControlTarget): boolean {
  const bytes = request.bytes(MAC_BYTES);
  if (bytes === undefined || isGroup(readMac(bytes, 0))) return false;
  settings.filter.mac = readMac(bytes, 0);
  macChanged(settings.filter.mac);
  return true;
}

function setVlan(request: ControlRequest, { settings }: ControlTarget, wanted: boolean): boolean {
  const id = request.u16();
  if (id === undefined || id >= VLAN_IDS) return false;
  settings.filter.setVlan(id, wanted);
  return true;
}

function announced(_: ControlRequest, target: ControlTarget): boolean {
  target.announced();
  return true;
}

function setPairs(request: ControlRequest, target: ControlTarget): boolean {
  const pairs = request.u16();
  if (pairs === undefined || pairs < 1 || pairs > target.queuePairs) return false;
  target.settings.pairs = pairs;
  // This is how a driver that had spread by hash stops that.
  target.settings.hash = undefined;
  target.changed();
  return true;
}

function setRss(request: ControlRequest, target: ControlTarget): boolean {
  const types = request.u32();
  const mask = request.u16();
  const unclassified = request.u16();
  if (types === undefined || mask === undefined || unclassified === undefined) return false;
  // The mask is one less than a power of two, and its table one that was offered.
  if ((types & ~ALL_HASH_TYPES) !== 0 || (mask & (mask + 1)) !== 0 || mask >= RSS_TABLE_ENTRIES) return false;
  const table = Array.from({ length: mask + 1 }, () => request.u16());
  const pairs = request.u16();
  const hashKey = readKey(request);
  if (pairs === undefined || hashKey === undefined || pairs < 1 || pairs > target.queuePairs) return false;
  const inUse = (pair: number | undefined): pair is number => pair !== undefined && pair < target.queuePairs;
  if (!inUse(unclassified) || !table.every(inUse)) return false;
  target.settings.pairs = pairs;
  target.settings.hash = { types, key: hashKey, table, unclassified };
  target.changed();
  return true;
}

function setHash(request: ControlRequest, target: ControlTarget): boolean {
  const types = request.u32();
  const reserved = request.bytes(8);
  const hashKey = readKey(request);
  if (types === undefined || reserved === undefined || hashKey === undefined || (types & ~ALL_HASH_TYPES) !== 0) return false;
  target.settings.hash = { types, key: hashKey };
  target.changed();
  return true;
}

function readKey(request: ControlRequest): number[] | undefined {
  const length = request.u8();
  if (length === undefined || length > RSS_KEY_BYTES) return undefined;
  const bytes = request.bytes(length);
  return bytes && [...bytes];
}

function setOffloads(request: ControlRequest, target: ControlTarget): boolean {
  const low = request.u32();
  const high = request.u32();
  if (low === undefined || high === undefined) return false;
  const wanted = FeatureSet.fromWords([low, high]);
  if (!wanted.isSubsetOf(target.features.and(GUEST_OFFLOADS))) return false;
  target.settings.guestOffloads = wanted;
  target.changed();
  return true;
}

function readModeration(request: ControlRequest): Moderation | undefined {
  const frames = request.u32();
  const microseconds = request.u32();
  return frames === undefined || microseconds === undefined ? undefined : { frames, microseconds };
}

function setModeration(request: ControlRequest, target: ControlTarget, concerns: (queue: number) => boolean): boolean {
  const moderation = readModeration(request);
  if (moderation === undefined) return false;
  for (let queue = 0; queue < 2 * target.queuePairs; queue++) if (concerns(queue)) target.settings.moderation.set(queue, moderation);
  target.changed();
  return true;
}

function setQueueModeration(request: ControlRequest, target: ControlTarget): boolean {
  const queue = readQueue(request, target);
  const moderation = readModeration(request);
  if (queue === undefined || moderation === undefined) return false;
  target.settings.moderation.set(queue, moderation);
  target.changed();
  return true;
}

function getQueueModeration(request: ControlRequest, target: ControlTarget): ControlOutcome {
  const queue = readQueue(request, target);
  if (queue === undefined) return false;
  const { frames, microseconds } = target.settings.moderation.get(queue) ?? NO_MODERATION;
  const answer = new DataView(new ArrayBuffer(12));
  answer.setUint16(0, queue, true);
  answer.setUint32(4, frames, true);
  answer.setUint32(8, microseconds, true);
  return new Uint8Array(answer.buffer);
}

/** The queue that a command is about, with the reserved field behind it. */
function readQueue(request: ControlRequest, { queuePairs }: ControlTarget): number | undefined {
  const queue = request.u16();
  const reserved = request.u16();
  return queue === undefined || reserved === undefined || queue >= 2 * queuePairs ? undefined : queue;
}
