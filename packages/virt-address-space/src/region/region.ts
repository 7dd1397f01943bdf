/**
 * A region: a named run of guest addresses with something behind it. Regions are what an author maps; what a reader of the
 * space sees is the flat view that follows from them.
 *
 * @module
 */
import type { GuestAddress } from "../address/addresses.ts";
import type { MemoryProvider } from "../memory/memory-provider.ts";
import type { IoHandler } from "./io-handler.ts";

/** RAM is read and written, ROM only read, an alias shows a part of another region, an I/O window calls a handler. */
export type RegionKind = "ram" | "rom" | "alias" | "io";

interface Placement {
  /** For people: errors, maps and logs show it. */
  readonly name: string;
  /** The first guest address. */
  readonly base: GuestAddress;
  /** Where regions overlap, the greater priority shows; equal ones may not overlap. 0 unless given. */
  readonly priority?: number;
}

/** Asks for RAM or ROM. */
export interface MemoryRegionSpec extends Placement {
  /** `ram` unless given. Writes to a `rom` stop as at a hole; fill its memory before mapping it. */
  readonly kind?: "ram" | "rom";
  /** Where the bytes come from. */
  readonly memory: MemoryProvider;
  /** Where the region begins in the memory, bytes. */
  readonly offset?: number;
  /** Bytes; up to the end of the memory unless given. */
  readonly size?: number;
}

/** Asks for an alias of a region that is mapped, or mapped earlier in the same transaction. */
export interface AliasRegionSpec extends Placement {
  /** An alias. */
  readonly kind: "alias";
  /** What it shows a part of. */
  readonly target: Region;
  /** Where the alias begins in its target, bytes. */
  readonly offset?: number;
  /** Bytes; up to the end of the target unless given. */
  readonly size?: number;
  /** Whether RAM shows as ROM through this alias (a chipset's shadow memory). */
  readonly readOnly?: boolean;
}

/** Asks for an I/O window. */
export interface IoRegionSpec extends Placement {
  /** An I/O window. */
  readonly kind: "io";
  /** Bytes. */
  readonly size: number;
  /** What its accesses call. */
  readonly handler: IoHandler;
}

/** What `map` takes. */
export type RegionSpec = MemoryRegionSpec | AliasRegionSpec | IoRegionSpec;

/** What a region consists of. @internal */
export interface RegionContent {
  readonly name: string;
  readonly kind: RegionKind;
  readonly size: number;
  readonly priority: number;
  /** Bytes from the start of the memory or of the target. */
  readonly offset: number;
  readonly memory?: MemoryProvider | undefined;
  readonly target?: Region | undefined;
  readonly readOnly?: boolean | undefined;
  readonly handler?: IoHandler | undefined;
  /** The holder whose thread has the handler; 0 is the space's owner. */
  readonly home?: number | undefined;
}

/** Moves a region. @internal */
export let placeRegion: (region: Region, id: number, base: GuestAddress | undefined) => void;

/** A mapped region: the handle for `unmap`, `move` and aliases. */
export class Region {
  /** For people. */
  readonly name: string;
  /** What stands behind it. */
  readonly kind: RegionKind;
  /** Bytes. */
  readonly size: number;
  /** Where regions overlap, the greater priority shows. */
  readonly priority: number;
  /** RAM and ROM: where the bytes come from; undefined where they live in another thread that can't share them. */
  readonly memory: MemoryProvider | undefined;
  /** Where the region begins in its memory, or in its target, bytes. */
  readonly offset: number;
  /** What an alias shows. */
  readonly target: Region | undefined;
  /** Whether writes stop at it. */
  readonly readOnly: boolean;
  /** An I/O window's handler; undefined where it lives in another thread. */
  readonly handler: IoHandler | undefined;
  /** The holder whose thread has the handler; 0 is the space's owner. */
  readonly home: number;
  #id = 0;
  #base: GuestAddress | undefined;

  static {
    placeRegion = (region, id, base) => {
      region.#id = id;
      region.#base = base;
    };
  }

  /** `space.map` makes regions. @internal */
  constructor(content: RegionContent) {
    this.name = content.name;
    this.kind = content.kind;
    this.size = content.size;
    this.priority = content.priority;
    this.memory = content.memory;
    this.offset = content.offset;
    this.target = content.target;
    this.readOnly = content.readOnly ?? content.kind === "rom";
    this.handler = content.handler;
    this.home = content.home ?? 0;
  }

  /** A number that every holder of the space knows this region by; never used again. 0 before the commit. */
  get id(): number {
    return this.#id;
  }

  /** The first guest address; undefined once it is unmapped. */
  get base(): GuestAddress | undefined {
    return this.#base;
  }
}
