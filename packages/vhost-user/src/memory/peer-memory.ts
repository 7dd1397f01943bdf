/**
 * The peer's memory table as a space: regions come and go with the protocol's messages, while rings run. The peer is not
 * trusted: sizes, overlaps and files are checked before anything is mapped, and a region that is there already stays.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { type Fd, MemfdMemory } from "@virtspace/host-linux";
import { DisposableStack, type GuestAddress, type Region, tryGpa, type VirtAddressSpace } from "@virtspace/virt-address-space";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { RegionPayload } from "../protocol/layout.ts";

/** Regions that a peer may have. */
export const MOST_REGIONS = 509;

interface PeerRegion extends RegionPayload {
  readonly region: Region;
  /** Which file it is: the same memory comes again with another descriptor. */
  readonly file: string;
  /** How often it was added: QEMU does so once for each pair of queues, and removes it as often. */
  times: number;
}

interface Offered {
  readonly payload: RegionPayload;
  readonly fd: Fd;
  readonly file: string;
}

/** Memory that a front-end shares. */
export class PeerMemory {
  readonly #space: VirtAddressSpace;
  readonly #unsealed: boolean;
  #regions: PeerRegion[] = [];

  /** @param unsealed - whether files are taken that the peer can shrink, and so end this process */
  constructor(space: VirtAddressSpace, unsealed: boolean) {
    this.#space = space;
    this.#unsealed = unsealed;
  }

  /** How many there are. */
  get size(): number {
    return this.#regions.length;
  }

  /** The guest's address for one of the peer's own; undefined where it is in none of its regions. */
  guestAddress(userAddress: number): GuestAddress | undefined {
    for (const each of this.#regions) {
      const offset = userAddress - each.userAddress;
      if (offset >= 0 && offset < each.size) return tryGpa(each.guestAddress + offset);
    }
    return undefined;
  }

  /** Which file one of the peer's own addresses is in, and where: the same for who comes after. */
  place(userAddress: number): string | undefined {
    for (const each of this.#regions) {
      const offset = userAddress - each.userAddress;
      if (offset >= 0 && offset < each.size) return `${each.file}-${(each.mmapOffset + offset).toString(16)}`;
    }
    return undefined;
  }

  /**
   * Takes a whole table in place of the one before.
   *
   * @param fds - one for each region; they are closed, or the memory's
   * @throws {@link VhostUserError} `bad-memory`, with the map as it was
   */
  set(payloads: readonly RegionPayload[], fds: readonly Fd[]): void {
    const offered = payloads.map((payload, i) => offer(payload, fds[i] as Fd));
    const kept = this.#regions.filter((each) => offered.some((other) => same(each, other)));
    const fresh = offered.filter((each) => !this.#regions.some((other) => same(other, each)));
    requireSeparate(offered.map(({ payload }) => payload));
    this.#change(
      fresh,
      this.#regions.filter((each) => !kept.includes(each)),
    );
    // A table says each region once, however often it was added before.
    for (const each of kept) each.times = 1;
  }

  /** Adds a region. @throws {@link VhostUserError} `bad-memory`, with the map as it was */
  add(payload: RegionPayload, fd: Fd): void {
    if (this.#regions.length >= MOST_REGIONS) throw new VhostUserError("bad-memory", `more than ${MOST_REGIONS} regions of memory`);
    const offered = offer(payload, fd);
    const known = this.#regions.find((each) => same(each, offered));
    if (known !== undefined) {
      known.times++;
      return;
    }
    requireSeparate([...this.#regions, payload]);
    this.#change([offered], []);
  }

  /** Removes a region. @throws {@link VhostUserError} `bad-memory` where there is none such */
  remove({ guestAddress, userAddress, size }: RegionPayload): void {
    const found = this.#regions.find(
      (each) => each.guestAddress === guestAddress && each.userAddress === userAddress && each.size === size,
    );
    if (found === undefined) throw new VhostUserError("bad-memory", "there is no such region to remove");
    if (--found.times === 0) this.#change([], [found]);
  }

  /** Removes all. */
  clear(): void {
    this.#change([], this.#regions);
  }

  #change(fresh: readonly Offered[], gone: readonly PeerRegion[]): void {
    using made = new DisposableStack();
    const memories = fresh.map(({ payload: { size, mmapOffset }, fd }) => {
      try {
        const memory = new MemfdMemory(fd.duplicate(), { size, offset: mmapOffset, unsealed: this.#unsealed });
        made.use(memory.retain());
        return memory;
      } catch (cause) {
        throw new VhostUserError("bad-memory", `a region of ${size} bytes can't be mapped: ${(cause as Error).message}`, { cause });
      }
    });
    const added: PeerRegion[] = [];
    try {
      this.#space.transaction((change) => {
        for (const { region } of gone) change.unmap(region);
        for (const [i, { payload, file }] of fresh.entries()) {
          const base = tryGpa(payload.guestAddress) as GuestAddress;
          const memory = memories[i] as MemfdMemory;
          added.push({ ...payload, file, times: 1, region: change.map({ name: `ram ${base.toString(16)}`, base, memory }) });
        }
      });
    } catch (cause) {
      throw new VhostUserError("bad-memory", `the map of memory can't be so: ${(cause as Error).message}`, { cause });
    }
    this.#regions = [...this.#regions.filter((each) => !gone.includes(each)), ...added];
  }
}

function offer(payload: RegionPayload, fd: Fd): Offered {
  const { guestAddress, size, userAddress, mmapOffset } = payload;
  const within = (start: number): boolean => Number.isSafeInteger(start) && Number.isSafeInteger(start + size);
  const sane =
    size > 0 && within(guestAddress) && within(userAddress) && within(mmapOffset) && tryGpa(guestAddress + size - 1) !== undefined;
  if (!sane) throw new VhostUserError("bad-memory", `a region of ${size} bytes at ${guestAddress} is empty, or past all memory`);
  const { dev, ino } = fstatSync(fd.number);
  return { payload, fd, file: `${dev}-${ino}` };
}

function same(region: PeerRegion, { payload, file }: Offered): boolean {
  return (
    region.file === file &&
    region.guestAddress === payload.guestAddress &&
    region.size === payload.size &&
    region.userAddress === payload.userAddress &&
    region.mmapOffset === payload.mmapOffset
  );
}

/** Regions overlap neither for the guest nor for the peer: an address has one meaning. */
function requireSeparate(regions: readonly RegionPayload[]): void {
  for (const key of ["guestAddress", "userAddress"] as const) {
    const sorted = regions.toSorted((a, b) => a[key] - b[key]);
    for (const [i, each] of sorted.entries()) {
      const next = sorted[i + 1];
      if (next !== undefined && each[key] + each.size > next[key]) throw new VhostUserError("bad-memory", "two regions of memory overlap");
    }
  }
}
