/**
 * Delivers changes to listeners, all or nothing: when one throws, what the others had accepted is taken back.
 *
 * @module
 */
import type { Doorbell } from "../doorbell/doorbell.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import type { FlatRange } from "../view/flat-range.ts";
import type { FlatView } from "../view/flat-view.ts";
import type { AddressSpaceListener } from "./address-space-listener.ts";

/** A change as listeners see it. */
export interface Change {
  readonly removed?: readonly FlatRange[];
  readonly added?: readonly FlatRange[];
  readonly unchanged?: readonly FlatRange[];
  readonly doorbellsRemoved?: readonly Doorbell[];
  readonly doorbellsAdded?: readonly Doorbell[];
  readonly log?: "started" | "stopped";
  /** The view before the change, to go back to. */
  readonly before: FlatView;
  readonly after: FlatView;
}

interface Step {
  readonly listener: AddressSpaceListener;
  /** The call that takes the step back. */
  readonly undo: () => void;
}

/** The listeners of a space. */
export class ListenerList {
  #listeners: readonly AddressSpaceListener[] = [];
  readonly #report: (listener: AddressSpaceListener, error: unknown) => void;

  /** @param report - told of a listener that throws while a change is taken back; it has been dropped */
  constructor(report: (listener: AddressSpaceListener, error: unknown) => void) {
    this.#report = report;
  }

  get size(): number {
    return this.#listeners.length;
  }

  has(listener: AddressSpaceListener): boolean {
    return this.#listeners.includes(listener);
  }

  /** Adds a listener, after it accepted the change that tells it all there is. */
  join(listener: AddressSpaceListener, all: Change): void {
    deliver([listener], all, this.#undoFailed);
    this.#listeners = [...this.#listeners, listener].sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  }

  /** Drops a listener and tells it that everything is gone. */
  leave(listener: AddressSpaceListener, all: Change): void {
    this.#drop(listener);
    try {
      deliver([listener], all, undefined);
    } catch (error) {
      this.#report(listener, (error as VirtAddressSpaceError).cause);
    }
  }

  /**
   * Tells all listeners of a change.
   *
   * @throws {@link VirtAddressSpaceError} `listener-failed`, after the change was taken back
   */
  deliver(change: Change): void {
    deliver(this.#listeners, change, this.#undoFailed);
  }

  /** Tells all listeners of a change that happens in any case: one that throws is dropped and reported. */
  force(change: Change): void {
    for (;;) {
      try {
        this.deliver(change);
        return;
      } catch (error) {
        const { refusedBy } = (error as VirtAddressSpaceError).details as { refusedBy: AddressSpaceListener };
        this.#drop(refusedBy);
        this.#report(refusedBy, (error as VirtAddressSpaceError).cause);
      }
    }
  }

  readonly #undoFailed = (listener: AddressSpaceListener, error: unknown): void => {
    this.#drop(listener);
    this.#report(listener, error);
  };

  #drop(listener: AddressSpaceListener): void {
    this.#listeners = this.#listeners.filter((each) => each !== listener);
  }
}

function deliver(
  listeners: readonly AddressSpaceListener[],
  change: Change,
  undoFailed: ((listener: AddressSpaceListener, error: unknown) => void) | undefined,
): void {
  const done: Step[] = [];
  let current: AddressSpaceListener | undefined;
  const tell = (listener: AddressSpaceListener, call: () => void, undo: () => void): void => {
    current = listener;
    call();
    done.push({ listener, undo });
  };
  const reversed = listeners.toReversed();
  const { removed = [], added = [], unchanged = [], doorbellsRemoved = [], doorbellsAdded = [] } = change;
  try {
    for (const each of listeners)
      tell(
        each,
        () => each.begin?.(),
        () => {},
      );
    for (const bell of doorbellsRemoved) {
      for (const each of reversed)
        tell(
          each,
          () => each.doorbellRemoved?.(bell),
          () => each.doorbellAdded?.(bell),
        );
    }
    if (change.log === "stopped") {
      for (const each of reversed)
        tell(
          each,
          () => each.logStopped?.(),
          () => each.logStarted?.(),
        );
    }
    for (const range of removed) {
      for (const each of reversed)
        tell(
          each,
          () => each.removed?.(range),
          () => each.added?.(range),
        );
    }
    for (const range of added) {
      for (const each of listeners)
        tell(
          each,
          () => each.added?.(range),
          () => each.removed?.(range),
        );
    }
    for (const range of unchanged)
      for (const each of listeners)
        tell(
          each,
          () => each.unchanged?.(range),
          () => {},
        );
    if (change.log === "started") {
      for (const each of listeners)
        tell(
          each,
          () => each.logStarted?.(),
          () => each.logStopped?.(),
        );
    }
    for (const bell of doorbellsAdded) {
      for (const each of listeners)
        tell(
          each,
          () => each.doorbellAdded?.(bell),
          () => each.doorbellRemoved?.(bell),
        );
    }
    for (const each of listeners)
      tell(
        each,
        () => each.commit?.(change.after),
        () => {},
      );
  } catch (cause) {
    if (undoFailed !== undefined) takeBack(done, change.before, undoFailed);
    const name = current?.name ?? "";
    throw new VirtAddressSpaceError(
      "listener-failed",
      `the listener "${name}" refused the change, so the map is as it was: ${cause instanceof Error ? cause.message : String(cause)}`,
      { listener: name, refusedBy: current },
      { cause },
    );
  }
}

/** Tells each listener the inverse of what it accepted, last first, as a change of its own. */
function takeBack(done: readonly Step[], before: FlatView, undoFailed: (listener: AddressSpaceListener, error: unknown) => void): void {
  const involved = new Set(done.map((step) => step.listener));
  const guarded = (listener: AddressSpaceListener, call: () => void): void => {
    if (!involved.has(listener)) return;
    try {
      call();
    } catch (error) {
      involved.delete(listener);
      undoFailed(listener, error);
    }
  };
  for (const listener of [...involved]) guarded(listener, () => listener.begin?.());
  for (const step of done.toReversed()) guarded(step.listener, step.undo);
  for (const listener of [...involved]) guarded(listener, () => listener.commit?.(before));
}
