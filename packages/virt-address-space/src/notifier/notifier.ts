/**
 * Notifiers: a counter that somebody waits for, as an eventfd is. A signal is never lost, and many may arrive as one.
 *
 * @module
 */

/** A notifier as a value for another thread; `payload` survives structured clone. */
export interface NotifierDescriptor {
  /** `shared` for {@link SharedNotifier}; other kinds bring their opener. */
  readonly kind: string;
  /** What the opener of this kind needs; it survives structured clone. */
  readonly payload?: unknown;
  /** File descriptors that travel beside it over a link that carries them. */
  readonly fds?: readonly number[];
}

/** Turns a descriptor of one kind back into a notifier. */
export interface NotifierOpener {
  /** The kind that it opens. */
  readonly kind: string;
  /** Makes the notifier of this thread. Throws for a descriptor that makes no sense. */
  open(descriptor: NotifierDescriptor): Notifier;
}

/** What kicks, calls and doorbells end in. */
export interface Notifier extends Disposable {
  /** Adds to the count (1 unless given) and wakes whoever waits. Never blocks, never throws. */
  signal(count?: number): void;
  /** Takes the count and leaves 0. */
  take(): number;
  /**
   * Calls back, with the count taken, after signals arrived: never inside `signal`, and once for all that came together.
   * A signal from before the subscription counts. One subscriber has the count; a second one is refused (`busy`).
   */
  subscribe(callback: (count: number) => void): Disposable;
  /** The notifier as a value, or undefined where it works in this thread alone. */
  share(): NotifierDescriptor | undefined;
}
