/** The settings of a device as plain values. What is restored comes from a file, and is checked before any of it is used. @module */
import { FeatureSet } from "@virtspace/virtio";
import { GUEST_OFFLOADS } from "../feature/guest-offloads.ts";
import { RSS_KEY_BYTES, RSS_TABLE_ENTRIES } from "../net-config.ts";
import { MOST_FILTERED_MACS, RECEIVE_MODES } from "../receive/receive-filter.ts";
import { ALL_HASH_TYPES } from "../steering/flow-hash.ts";
import type { HashSettings, Moderation, NetSettings } from "./net-settings.ts";

/** What saving gives. */
export interface SettingsState {
  readonly mac: number;
  /** The receive modes that are on. */
  readonly modes: readonly string[];
  /** Other addresses; null for more than are filtered. */
  readonly unicast: readonly number[] | null;
  readonly multicast: readonly number[] | null;
  readonly vlanIds: readonly number[];
  readonly pairs: number | null;
  readonly hash: HashSettings | null;
  /** The words of the set. */
  readonly guestOffloads: readonly [number, number];
  readonly moderation: readonly (readonly [queue: number, Moderation])[];
}

/** The settings as they are. */
export function saveSettings({ filter, pairs, hash, guestOffloads, moderation }: NetSettings): SettingsState {
  const { unicast, multicast } = filter.addresses;
  return {
    mac: filter.mac,
    modes: RECEIVE_MODES.filter((mode) => filter.modes[mode]),
    unicast: unicast ?? null,
    multicast: multicast ?? null,
    vlanIds: [...filter.vlanIds],
    pairs: pairs ?? null,
    hash: hash ?? null,
    guestOffloads: [guestOffloads.word(0), guestOffloads.word(1)],
    moderation: [...moderation],
  };
}

const isBelow =
  (limit: number) =>
  (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < limit;
const isMac = isBelow(2 ** 48);
const isByte = isBelow(256);
const isWord = isBelow(2 ** 32);

function isList<Item>(value: unknown, most: number, item: (value: unknown) => value is Item): value is readonly Item[] {
  return Array.isArray(value) && value.length <= most && value.every(item);
}

/** Checks a state. Throws a TypeError that says what does not fit. */
export function requireSettings(value: unknown, queuePairs: number): SettingsState {
  const state = (value ?? {}) as SettingsState;
  const wrong = (what: string): never => {
    throw new TypeError(`this is no state of a network device: ${what} does not fit`);
  };
  if (!isMac(state.mac)) wrong("its address");
  if (!Array.isArray(state.modes) || !state.modes.every((mode) => (RECEIVE_MODES as readonly string[]).includes(mode)))
    wrong("a receive mode");
  for (const table of [state.unicast, state.multicast]) {
    if (table !== null && !isList(table, MOST_FILTERED_MACS, isMac)) wrong("a table of addresses");
  }
  if (!isList(state.vlanIds, 512, isByte) || state.vlanIds.length !== 512) wrong("the VLANs");
  if (state.pairs !== null && (!isBelow(queuePairs + 1)(state.pairs) || state.pairs === 0)) wrong("the number of queues");
  if (state.hash !== null && !isHash(state.hash, queuePairs)) wrong("how it hashes");
  if (!isList(state.guestOffloads, 2, isWord) || !FeatureSet.fromWords(state.guestOffloads).isSubsetOf(GUEST_OFFLOADS)) wrong("an offload");
  const isModeration = (entry: unknown): entry is readonly [number, Moderation] => {
    const [queue, moderation] = Array.isArray(entry) ? entry : [];
    return isBelow(2 * queuePairs)(queue) && isWord(moderation?.frames) && isWord(moderation?.microseconds);
  };
  if (!isList(state.moderation, 2 * queuePairs, isModeration)) wrong("an interrupt's delay");
  return state;
}

function isHash(hash: HashSettings, queuePairs: number): boolean {
  if (!isWord(hash.types) || (hash.types & ~ALL_HASH_TYPES) !== 0 || !isList(hash.key, RSS_KEY_BYTES, isByte)) return false;
  if (hash.table === undefined) return hash.unclassified === undefined;
  const { length } = hash.table;
  const isPair = isBelow(queuePairs);
  return isList(hash.table, RSS_TABLE_ENTRIES, isPair) && length > 0 && (length & (length - 1)) === 0 && isPair(hash.unclassified);
}

/** Takes a checked state. */
export function loadSettings(settings: NetSettings, state: SettingsState): void {
  const { filter } = settings;
  filter.mac = state.mac;
  for (const mode of RECEIVE_MODES) filter.modes[mode] = state.modes.includes(mode);
  filter.setAddresses(state.unicast ?? undefined, state.multicast ?? undefined);
  filter.vlanIds.set(state.vlanIds);
  settings.pairs = state.pairs ?? undefined;
  settings.hash = state.hash ?? undefined;
  settings.guestOffloads = FeatureSet.fromWords(state.guestOffloads);
  settings.moderation.clear();
  for (const [queue, moderation] of state.moderation) settings.moderation.set(queue, moderation);
}
