/**
 * Which frames a driver wants to see.
 *
 * @see virtio 1.3, sections 5.1.6.5.1 to 5.1.6.5.3 (receive mode, MAC filters, VLAN filters)
 * @module
 */
import { BROADCAST, copyFrame, type Frame, HEADER_BYTES, isGroup, readMac } from "@virtspace/network";

/** Addresses that a table holds; a driver that gives more gets all of that kind. */
export const MOST_FILTERED_MACS = 256;
const VLAN = 0x8100;
const VLAN_IDS = 4096;

/** What a driver switches on and off, by the number of its command. */
export const RECEIVE_MODES = ["promiscuous", "allMulticast", "allUnicast", "noMulticast", "noUnicast", "noBroadcast"] as const;

/** A mode. */
export type ReceiveMode = (typeof RECEIVE_MODES)[number];

/** The filter. */
export class ReceiveFilter {
  readonly modes: Record<ReceiveMode, boolean> = {
    promiscuous: true,
    allMulticast: false,
    allUnicast: false,
    noMulticast: false,
    noUnicast: false,
    noBroadcast: false,
  };
  /** The device's own address. */
  mac: number;
  /** Whether VLANs are filtered at all. */
  vlans = false;
  readonly vlanIds: Uint8Array = new Uint8Array(VLAN_IDS / 8);
  #unicast = new Set<number>();
  #multicast = new Set<number>();
  readonly #look = new Uint8Array(HEADER_BYTES + 2);

  constructor(mac: number) {
    this.mac = mac;
  }

  /** The addresses besides the device's own; undefined for more than are filtered. */
  setAddresses(unicast: readonly number[] | undefined, multicast: readonly number[] | undefined): void {
    this.#unicast = new Set(unicast);
    this.#multicast = new Set(multicast);
    this.#unicastOverflow = unicast === undefined;
    this.#multicastOverflow = multicast === undefined;
  }

  #unicastOverflow = false;
  #multicastOverflow = false;

  /** What {@link setAddresses} was given. */
  get addresses(): { unicast: readonly number[] | undefined; multicast: readonly number[] | undefined } {
    return {
      unicast: this.#unicastOverflow ? undefined : [...this.#unicast],
      multicast: this.#multicastOverflow ? undefined : [...this.#multicast],
    };
  }

  /** Lets a VLAN in, or not. */
  setVlan(id: number, wanted: boolean): void {
    const bit = 1 << (id & 7);
    const at = id >>> 3;
    const byte = this.vlanIds[at] as number;
    this.vlanIds[at] = wanted ? byte | bit : byte & ~bit;
  }

  /** Whether the driver wants a frame. */
  passes(frame: Frame): boolean {
    const { modes } = this;
    if (modes.promiscuous) return true;
    const look = this.#look;
    if (copyFrame(frame, 0, look) < HEADER_BYTES) return false;
    const tagged = frame.length > HEADER_BYTES + 1 && (look[12] as number) * 256 + (look[13] as number) === VLAN;
    if (this.vlans && tagged && !this.#passesVlan((look[14] as number) * 256 + (look[15] as number))) return false;
    const target = readMac(look, 0);
    if (target === BROADCAST) return !modes.noBroadcast;
    if (isGroup(target)) return !modes.noMulticast && (modes.allMulticast || this.#multicastOverflow || this.#multicast.has(target));
    return !modes.noUnicast && (modes.allUnicast || this.#unicastOverflow || target === this.mac || this.#unicast.has(target));
  }

  #passesVlan(tag: number): boolean {
    const id = tag & 0xfff;
    return ((this.vlanIds[id >>> 3] as number) & (1 << (id & 7))) !== 0;
  }

  /** All as at the beginning: everything is wanted. */
  reset(mac: number): void {
    for (const mode of RECEIVE_MODES) this.modes[mode] = mode === "promiscuous";
    this.mac = mac;
    this.vlans = false;
    this.vlanIds.fill(0);
    this.setAddresses([], []);
  }
}
