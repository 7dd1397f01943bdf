/** Which port an address was last seen at. @module */

/** How long a table remembers, and how much. */
export interface MacTableOptions {
  /** Milliseconds after which an address that sent nothing is forgotten; 300,000 unless given. */
  readonly ageMilliseconds?: number;
  /** Addresses that it holds at the most; 4096 unless given. */
  readonly most?: number;
}

interface Entry<Port> {
  port: Port;
  seen: number;
}

/** A table of addresses. */
export class MacTable<Port> {
  readonly #entries = new Map<number, Entry<Port>>();
  /** Grows with each change of who is where: what was found stays right as long as this is the same. */
  version = 0;
  readonly #age: number;
  readonly #most: number;

  constructor({ ageMilliseconds = 300_000, most = 4096 }: MacTableOptions = {}) {
    this.#age = ageMilliseconds;
    this.#most = most;
  }

  /** Addresses that are held. */
  get size(): number {
    return this.#entries.size;
  }

  /** An address sent something through a port. */
  learn(mac: number, port: Port, now: number): void {
    const entry = this.#entries.get(mac);
    if (entry !== undefined) {
      if (entry.port !== port) this.version++;
      entry.port = port;
      entry.seen = now;
      return;
    }
    // Full: the aged go, and where there are none the oldest, so that one port's inventions don't lock the others out.
    if (this.#entries.size >= this.#most) this.#makeRoom(now);
    this.version++;
    this.#entries.set(mac, { port, seen: now });
  }

  #makeRoom(now: number): void {
    let oldest: number | undefined;
    let seen = Number.POSITIVE_INFINITY;
    for (const [mac, entry] of this.#entries) {
      if (now - entry.seen > this.#age) this.#entries.delete(mac);
      else if (entry.seen < seen) {
        oldest = mac;
        seen = entry.seen;
      }
    }
    if (this.#entries.size >= this.#most && oldest !== undefined) this.#entries.delete(oldest);
  }

  /** Where an address is; undefined where it is not known, or was not heard of for too long. */
  find(mac: number, now: number): Port | undefined {
    const entry = this.#entries.get(mac);
    if (entry === undefined) return undefined;
    if (now - entry.seen <= this.#age) return entry.port;
    this.version++;
    this.#entries.delete(mac);
    return undefined;
  }

  /** Forgets all addresses of a port. */
  forget(port: Port): void {
    this.version++;
    for (const [mac, entry] of this.#entries) if (entry.port === port) this.#entries.delete(mac);
  }
}
