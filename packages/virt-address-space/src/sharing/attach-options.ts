/** How a space is attached. @module */
import type { SpaceFault } from "../error/space-fault.ts";
import type { SpaceHost } from "../host/host.ts";
import type { Notifier } from "../notifier/notifier.ts";
import type { BroughtOpeners } from "./openers.ts";

/** How a space is attached. */
export interface AttachOptions extends BroughtOpeners {
  /** What the owner calls this holder, in errors too. */
  readonly name?: string;
  /** Signalled after each commit: what wakes this thread from a blocking wait, so that it can call `quiesce`. */
  readonly wake?: Notifier;
  /** Told of what plug-ins' code did wrong in this thread. */
  readonly onFault?: (fault: SpaceFault) => void;
  /** Told when the owner's thread ended without releasing the space: the map is as it was last, and nobody changes it any more. */
  readonly onOrphaned?: () => void;
  /** How long to wait for the map, milliseconds; 2000 unless given. */
  readonly timeoutMilliseconds?: number;
  /** The services of the JavaScript host; those that are there, unless given. */
  readonly host?: SpaceHost;
}
