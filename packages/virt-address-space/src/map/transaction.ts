/** A change of the map that is made as one, or not at all. @module */
import { type GuestAddress, requireAddress } from "../address/addresses.ts";
import type { Doorbell, DoorbellSpec } from "../doorbell/doorbell.ts";
import { checkDoorbell } from "../doorbell/doorbell-table.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { Region, type RegionSpec } from "../region/region.ts";
import { regionContent } from "../region/region-content.ts";

/** What a transaction did, in order: what a holder in another thread asks the owner to do. */
export type MapStep =
  | { readonly step: "map"; readonly region: Region; readonly base: GuestAddress }
  | { readonly step: "unmap"; readonly region: Region }
  | { readonly step: "move"; readonly region: Region; readonly base: GuestAddress }
  | { readonly step: "addDoorbell"; readonly doorbell: Doorbell }
  | { readonly step: "removeDoorbell"; readonly doorbell: Doorbell };

/** What a body asked for. */
export interface Asked<T> {
  readonly result: T;
  /** The map that was asked for. */
  readonly regions: ReadonlyMap<Region, GuestAddress>;
  readonly steps: readonly MapStep[];
}

/** What a transaction starts from. */
export interface MapState {
  readonly size: number;
  readonly regions: ReadonlyMap<Region, GuestAddress>;
  /** The holder whose thread this is; 0 is the owner. */
  readonly home: number;
  /** Makes the doorbell that a checked specification asks for. */
  makeDoorbell(spec: DoorbellSpec, datamatch: bigint | undefined): Doorbell;
  hasDoorbell(doorbell: Doorbell): boolean;
}

/**
 * Collects changes; they are checked one by one as they are made, and against each other at the commit. Given to the
 * callback of `space.transaction` and `space.propose`, and dead once that returns.
 */
export class Transaction {
  readonly #state: MapState;
  readonly #regions: Map<Region, GuestAddress>;
  readonly #doorbells = new Set<Doorbell>();
  readonly #steps: MapStep[] = [];
  #open = true;

  /** @internal */
  constructor(state: MapState) {
    this.#state = state;
    this.#regions = new Map(state.regions);
  }

  /**
   * Maps a region.
   *
   * @throws {@link VirtAddressSpaceError} `invalid-address`, `invalid-length`, `invalid-argument`, `out-of-bounds`,
   *   `released`, `unknown-region` (an alias of what is not mapped)
   */
  map(spec: RegionSpec): Region {
    return this.mapFrom(spec, undefined);
  }

  /** As {@link map}, for a holder in whose thread the handler is. @internal */
  mapFrom(spec: RegionSpec, proposedBy: number | undefined): Region {
    this.#requireOpen();
    const content = regionContent(spec, this.#state.size, (region) => this.#regions.has(region));
    const region = new Region(
      proposedBy === undefined ? { ...content, home: this.#state.home } : { ...content, home: proposedBy, handler: undefined },
    );
    this.#regions.set(region, spec.base);
    this.#steps.push({ step: "map", region, base: spec.base });
    return region;
  }

  /**
   * Unmaps a region.
   *
   * @throws {@link VirtAddressSpaceError} `unknown-region`; `in-use` while an alias shows it
   */
  unmap(region: Region): void {
    this.#requireMapped(region);
    for (const other of this.#regions.keys()) {
      if (other.target !== region) continue;
      throw new VirtAddressSpaceError("in-use", `region "${region.name}" is shown by the alias "${other.name}": unmap that first`, {
        region: region.name,
        alias: other.name,
      });
    }
    this.#regions.delete(region);
    this.#steps.push({ step: "unmap", region });
  }

  /**
   * Moves a region to another address. Windows on it are revoked.
   *
   * @throws {@link VirtAddressSpaceError} `unknown-region`, `invalid-address`, `out-of-bounds`
   */
  move(region: Region, base: GuestAddress): void {
    this.#requireMapped(region);
    requireAddress(base);
    if (base + region.size > this.#state.size) {
      throw new VirtAddressSpaceError("out-of-bounds", `region "${region.name}" does not fit at 0x${base.toString(16)}`, {
        region: region.name,
        base,
        size: region.size,
        spaceSize: this.#state.size,
      });
    }
    this.#regions.set(region, base);
    this.#steps.push({ step: "move", region, base });
  }

  /**
   * Adds a doorbell.
   *
   * @throws {@link VirtAddressSpaceError} `invalid-address`, `invalid-length`, `invalid-argument`; the commit throws
   *   `duplicate-doorbell`
   */
  addDoorbell(spec: DoorbellSpec): Doorbell {
    this.#requireOpen();
    const doorbell = this.#state.makeDoorbell(spec, checkDoorbell(spec));
    this.#doorbells.add(doorbell);
    this.#steps.push({ step: "addDoorbell", doorbell });
    return doorbell;
  }

  /** Removes a doorbell; one that is not there is passed over. */
  removeDoorbell(doorbell: Doorbell): void {
    this.#requireOpen();
    if (!this.#doorbells.delete(doorbell) && !this.#state.hasDoorbell(doorbell)) return;
    this.#steps.push({ step: "removeDoorbell", doorbell });
  }

  /** Lets a body ask for its changes, once, and ends the transaction. @internal @returns what was asked for */
  run<T>(body: (transaction: Transaction) => T): Asked<T> {
    try {
      const result = body(this);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
        // What it does later fails, and must not end the process: the mistake is named here.
        (result as PromiseLike<unknown>).then(undefined, () => {});
        throw new VirtAddressSpaceError(
          "invalid-argument",
          "the body of a transaction returned a promise: await first, then change the map in a body that is not async",
        );
      }
      return { result, regions: this.#regions, steps: this.#steps };
    } finally {
      this.#open = false;
    }
  }

  #requireOpen(): void {
    if (this.#open) return;
    throw new VirtAddressSpaceError(
      "invalid-argument",
      "this transaction is over: its body has returned; begin another with space.transaction()",
    );
  }

  #requireMapped(region: Region): void {
    this.#requireOpen();
    if (this.#regions.has(region)) return;
    const name = region instanceof Region ? `region "${region.name}"` : "that";
    throw new VirtAddressSpaceError("unknown-region", `${name} is not mapped in this space: it was unmapped, or belongs to another`);
  }
}
