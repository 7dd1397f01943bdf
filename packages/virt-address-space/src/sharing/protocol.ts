/**
 * What owner and holders say to each other. All of it survives structured clone; none of it is trusted: numbers from a
 * holder are looked up, never used as they come.
 *
 * @module
 */
import type { MemoryDescriptor } from "../memory/memory-descriptor.ts";
import type { NotifierDescriptor } from "../notifier/notifier.ts";
import type { RegionKind } from "../region/region.ts";

/** A region as every holder knows it. */
export interface RegionRecord {
  readonly id: number;
  readonly name: string;
  readonly kind: RegionKind;
  readonly base: number;
  readonly size: number;
  /** 0 where it is left out; so are the offset and the home. */
  readonly priority?: number;
  readonly offset?: number;
  readonly readOnly?: boolean;
  /** RAM and ROM: the memory's number. */
  readonly memory?: number | undefined;
  /** An alias's target. */
  readonly target?: number | undefined;
  /** An I/O window: the holder whose thread has the handler. */
  readonly home?: number;
  /** The number under which the proposer asked for it. */
  readonly proposed?: { readonly holder: number; readonly key: number } | undefined;
}

/** Memory as every holder knows it; without a descriptor it can't leave its thread. */
export interface MemoryRecord {
  readonly id: number;
  readonly descriptor?: MemoryDescriptor | undefined;
}

/** The bitmaps of all dirty logs for one memory. */
export interface BitmapRecord {
  readonly memory: number;
  readonly buffers: readonly ArrayBufferLike[];
}

/** A doorbell as every holder knows it; without a descriptor its notifier is reached through the owner. */
export interface DoorbellRecord {
  readonly id: number;
  readonly address: number;
  readonly length: 0 | 1 | 2 | 4 | 8;
  readonly datamatch?: bigint | undefined;
  readonly notifier?: NotifierDescriptor | undefined;
  readonly proposed?: { readonly holder: number; readonly key: number } | undefined;
}

/** A commit, as the difference from the one before; the first one a holder gets is the difference from nothing. */
export interface CommitMessage {
  readonly type: "commit";
  readonly generation: number;
  readonly regions: readonly RegionRecord[];
  readonly regionsGone: readonly number[];
  readonly memories: readonly MemoryRecord[];
  readonly doorbells: readonly DoorbellRecord[];
  readonly doorbellsGone: readonly number[];
  /** All bitmaps, where they changed. */
  readonly bitmaps?: readonly BitmapRecord[] | undefined;
}

/** A holder's wish, one step of a transaction. */
export type ProposedStep =
  | {
      readonly step: "map";
      readonly key: number;
      readonly record: Omit<RegionRecord, "id" | "memory" | "home" | "proposed">;
      readonly memory?: MemoryDescriptor | undefined;
      /** The number of a memory that the space has already. */
      readonly known?: number | undefined;
      /** The proposer's own number for the memory, the same in each of its proposals. */
      readonly memoryKey?: number | undefined;
      /** A target mapped by the same proposal. */
      readonly targetKey?: number | undefined;
    }
  | { readonly step: "unmap"; readonly id: number }
  | { readonly step: "move"; readonly id: number; readonly base: number }
  | { readonly step: "addDoorbell"; readonly key: number; readonly record: Omit<DoorbellRecord, "id" | "proposed"> }
  | { readonly step: "removeDoorbell"; readonly id: number };

/** An access to an I/O window of another thread. */
export interface IoRequest {
  readonly type: "io";
  readonly request: number;
  readonly address: number;
  readonly size: 1 | 2 | 4 | 8;
  /** The value of a write; a read has none. */
  readonly value?: bigint | undefined;
}

/** What becomes of an access: the value read, 0 for a write that succeeded, undefined where nobody took it. */
export interface IoReply {
  readonly type: "io-reply";
  readonly request: number;
  readonly value?: bigint | undefined;
}

/** From the owner. */
export type OwnerMessage =
  | { readonly type: "welcome"; readonly space: string; readonly size: number; readonly holder: number }
  | CommitMessage
  | {
      readonly type: "proposal-done";
      readonly request: number;
      readonly error?: { readonly code: string; readonly message: string } | undefined;
    }
  | IoRequest
  | IoReply
  /** The holder can't have the space. */
  | { readonly type: "refused"; readonly error: { readonly code: string; readonly message: string } }
  | { readonly type: "released" };

/** From a holder. */
export type HolderMessage =
  | { readonly type: "attached"; readonly name: string; readonly wake?: NotifierDescriptor | undefined }
  | { readonly type: "acknowledge"; readonly generation: number }
  | { readonly type: "detach" }
  | { readonly type: "propose"; readonly request: number; readonly steps: readonly ProposedStep[] }
  | { readonly type: "ring"; readonly doorbell: number; readonly count: number }
  | IoRequest
  | IoReply;
