/**
 * Toeplitz hashes of flows, as drivers configure them.
 *
 * @see virtio 1.3, section 5.1.6.4.3 (hash calculation for incoming packets)
 * @module
 */
import type { Flow, FlowKind } from "./flow.ts";

/** The kinds of hashes that a driver may ask for, as bits. */
export const HashType = {
  /** IPv4 addresses. */
  Ip4: 1,
  /** IPv4 addresses and TCP ports. */
  Tcp4: 2,
  /** IPv4 addresses and UDP ports. */
  Udp4: 4,
  /** IPv6 addresses. */
  Ip6: 8,
  /** IPv6 addresses and TCP ports. */
  Tcp6: 16,
  /** IPv6 addresses and UDP ports. */
  Udp6: 32,
} as const;

/** All of them. */
export const ALL_HASH_TYPES = 63;

/** A hash, and how the driver is told over what it was taken. */
export interface FlowHash {
  readonly value: number;
  readonly report: number;
}

const TYPES: Readonly<Record<Exclude<FlowKind, "none">, readonly [type: number, report: number]>> = {
  ip4: [HashType.Ip4, 1],
  tcp4: [HashType.Tcp4, 2],
  udp4: [HashType.Udp4, 3],
  ip6: [HashType.Ip6, 4],
  tcp6: [HashType.Tcp6, 5],
  udp6: [HashType.Udp6, 6],
};

/** Takes hashes with one key. */
export class FlowHasher {
  readonly #key: Uint8Array;
  readonly #types: number;
  /** One for all frames. */
  readonly #result = { value: 0, report: 0 };

  /** @param types - the kinds that are wanted; @param key - as many bytes as an input has, and 4 more */
  constructor(types: number, key: Uint8Array) {
    this.#types = types;
    this.#key = key;
  }

  /** The hash of a flow, good until the next one; undefined where the driver wants none of its kind. */
  hash(flow: Flow): FlowHash | undefined {
    if (flow.kind === "none") return undefined;
    const [type, report] = TYPES[flow.kind];
    if ((this.#types & type) !== 0) {
      const ports = flow.kind.startsWith("ip") ? 0 : 4;
      return this.#hashed(flow, flow.addressBytes + ports, report);
    }
    // Ports are not wanted: addresses may be.
    const [plain, plainReport] = TYPES[flow.addressBytes === 32 ? "ip6" : "ip4"];
    return (this.#types & plain) === 0 ? undefined : this.#hashed(flow, flow.addressBytes, plainReport);
  }

  #hashed({ bytes }: Flow, length: number, report: number): FlowHash {
    this.#result.value = this.#toeplitz(bytes, length);
    this.#result.report = report;
    return this.#result;
  }

  #toeplitz(input: Uint8Array, length: number): number {
    const key = this.#key;
    const byte = (at: number): number => key[at] ?? 0;
    let window = (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
    let hash = 0;
    for (let i = 0; i < length; i++) {
      const value = input[i] as number;
      const next = byte(i + 4);
      for (let bit = 7; bit >= 0; bit--) {
        if (((value >>> bit) & 1) === 1) hash ^= window;
        window = (window << 1) | ((next >>> bit) & 1);
      }
    }
    return hash >>> 0;
  }
}
