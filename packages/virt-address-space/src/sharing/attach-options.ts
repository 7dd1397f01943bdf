/** How a space is attached. @module */
import type { SpaceFault } from "../error/space-fault.ts";
import type { SpaceHost } from "../host/host.ts";
import type { MemoryOpener } from "../memory/memory-descriptor.ts";
import type { Notifier, NotifierOpener } from "../notifier/notifier.ts";

/** How a space is attached. */
export interface AttachOptions {
  /** What the owner calls this holder, in errors too. */
  readonly name?: string;
  /** Signalled after each commit: what wakes this thread from a blocking wait, so that it can call `quiesce`. */
  readonly wake?: Notifier;
  /** Openers for kinds of memory besides SharedArrayBuffer. */
  readonly memory?: readonly MemoryOpener[];
  /** Openers for kinds of notifiers besides {@link SharedNotifier}. */
  readonly notifiers?: readonly NotifierOpener[];
  /** Told of what plug-ins' code did wrong in this thread. */
  readonly onFault?: (fault: SpaceFault) => void;
  /** Told when the owner's thread ended without releasing the space: the map is as it was last, and nobody changes it any more. */
  readonly onOrphaned?: () => void;
  /** How long to wait for the map, milliseconds; 2000 unless given. */
  readonly timeoutMilliseconds?: number;
  /** The services of the JavaScript host; those that are there, unless given. */
  readonly host?: SpaceHost;
}
