/** What plug-ins' code did wrong, and other ends of a link: reported, since there is no caller who could catch it. @module */

/**
 * Something that went wrong while others were being served. Nothing else is harmed by it.
 *
 * - `handler-failed`: an I/O handler threw; the access failed
 * - `reentered`: a handler's own access came back to its window, and was refused
 * - `listener-failed`: a listener threw where it could not refuse (a change being taken back, or one that happens in any
 *   case) and was dropped; or a window's `onChange` threw
 * - `source-failed`: a dirty source threw; all memory counts as written
 * - `holder-failed`: a holder's `letGo` threw; it counts as not having let go
 * - `provider-failed`: a memory provider threw while it was freed
 * - `opener-failed`: memory or a notifier of another thread could not be opened; the region is out of reach here
 * - `protocol`: another thread sent what makes no sense, or can't be sent what is needed
 */
export interface SpaceFault {
  /** What went wrong. */
  readonly code:
    | "handler-failed"
    | "reentered"
    | "listener-failed"
    | "source-failed"
    | "holder-failed"
    | "provider-failed"
    | "opener-failed"
    | "protocol";
  /** The region, listener or holder at fault. */
  readonly name: string;
  /** What was thrown. */
  readonly cause?: unknown;
}
