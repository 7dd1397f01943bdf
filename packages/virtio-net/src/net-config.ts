/**
 * The configuration space of a network device.
 *
 * @see virtio 1.3, section 5.1.4
 * @module
 */
import { writeMac } from "@virtspace/network";
import { ConfigBytes } from "@virtspace/virtio";

/** Where each field is. */
const Field = { Mac: 0, Status: 6, QueuePairs: 8, Mtu: 10, Speed: 12, Duplex: 16, RssKey: 17, RssTable: 18, HashTypes: 20 } as const;
const SIZE = 24;
const LINK_UP = 1;
const ANNOUNCE = 2;
const FULL_DUPLEX = 1;
/** What a driver may configure for RSS. */
export const RSS_KEY_BYTES = 40;
/** Entries of the table that spreads hashes over queues. */
export const RSS_TABLE_ENTRIES = 128;

/** What is in the configuration from the start. */
export interface NetConfigFields {
  /** The address, 48 bits. */
  readonly mac: number;
  /** Pairs of queues. */
  readonly queuePairs: number;
  /** Kinds of hashes that it can take. */
  readonly hashTypes: number;
  /** Bytes of payload. */
  readonly mtu?: number | undefined;
  /** Mbit/s. */
  readonly speed?: number | undefined;
}

/** The configuration. */
export class NetConfig extends ConfigBytes {
  constructor({ mac, queuePairs, hashTypes, mtu = 0, speed = 0xffff_ffff }: NetConfigFields) {
    super(SIZE);
    this.mac = mac;
    this.data.setUint16(Field.Status, LINK_UP, true);
    this.data.setUint16(Field.QueuePairs, queuePairs, true);
    this.mtu = mtu;
    this.data.setUint32(Field.Speed, speed, true);
    this.data.setUint8(Field.Duplex, FULL_DUPLEX);
    this.data.setUint8(Field.RssKey, RSS_KEY_BYTES);
    this.data.setUint16(Field.RssTable, RSS_TABLE_ENTRIES, true);
    this.data.setUint32(Field.HashTypes, hashTypes, true);
  }

  /** The device's address. */
  set mac(mac: number) {
    writeMac(new Uint8Array(this.data.buffer), Field.Mac, mac);
  }

  /** The largest payload of a frame, bytes. */
  set mtu(mtu: number) {
    this.data.setUint16(Field.Mtu, mtu, true);
  }

  /** Whether the link is up. */
  get linkUp(): boolean {
    return (this.data.getUint16(Field.Status, true) & LINK_UP) !== 0;
  }

  /** Pulls the cable, or plugs it in. */
  set linkUp(up: boolean) {
    this.#setStatus(LINK_UP, up);
  }

  /** Whether the driver has been asked to announce itself, and did not say that it has. */
  get announcing(): boolean {
    return (this.data.getUint16(Field.Status, true) & ANNOUNCE) !== 0;
  }

  /** Asks, or has been told. */
  set announcing(announcing: boolean) {
    this.#setStatus(ANNOUNCE, announcing);
  }

  #setStatus(bit: number, on: boolean): void {
    const status = this.data.getUint16(Field.Status, true);
    this.data.setUint16(Field.Status, on ? status | bit : status & ~bit, true);
  }
}
