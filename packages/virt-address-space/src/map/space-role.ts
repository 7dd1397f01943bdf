/** What a space can do that depends on where it is: in its owner's thread, or attached in another. @module */
import type { DirtyLog, DirtySource } from "../dirty/dirty-log.ts";
import type { Batch, Commit, Holder } from "../holder/holder.ts";
import type { References, SpaceReference } from "../holder/references.ts";
import type { DescriptorOptions, SpaceDescriptor } from "../sharing/descriptor.ts";
import type { SpaceLink } from "../sharing/space-link.ts";
import type { SpaceCore } from "./space-core.ts";
import type { Transaction } from "./transaction.ts";

/** The part of a space that differs between the owner's thread and the others. */
export interface SpaceRole {
  readonly id: string;
  readonly core: SpaceCore;
  readonly references: References;
  /** Whether this thread decides on changes. */
  readonly owner: boolean;
  /** Names of all holders that this side knows of. */
  holders(): readonly string[];
  transaction<T>(body: (transaction: Transaction) => T): { readonly result: T; readonly commit: Commit };
  propose<T>(body: (transaction: Transaction) => T): Promise<T>;
  bind(holder: Holder): SpaceReference;
  batch(): Batch;
  /** Whether the view is the newest. */
  isCurrent(): boolean;
  quiesce(): boolean;
  dirtyLog(name: string): DirtyLog;
  addDirtySource(source: DirtySource): Disposable;
  descriptor(options: DescriptorOptions): SpaceDescriptor;
  admit(link: SpaceLink, options: DescriptorOptions): void;
  /** Brings an access to the thread of another holder; a read without a value. */
  ioElsewhere(address: number, size: 1 | 2 | 4 | 8, value?: bigint): Promise<bigint | undefined>;
}
