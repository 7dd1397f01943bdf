/** What a bridge counts, by the names of the originals. @module */

/** Counters. */
export class BridgeCounters {
  /** Events for the guest. */
  events = 0;
  /** Interrupts for its event queues: events by this is what coalescing saved. */
  qnotify = 0;
  /** Calls of the guest's that it has taken events. */
  qinject = 0;
  /** Signals of devices to the guest. */
  notify = 0;
  /** Signals of the guest to devices. */
  inject = 0;
  /** Calls to the bridge. */
  bridgecalls = 0;
  /** Calls to the bus. */
  buscalls = 0;
}
