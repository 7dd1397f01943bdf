/**
 * Serves devices at a socket: waits for front-ends, or goes to where one waits and comes again when it is gone. Each front-end has
 * a device and a session of its own.
 *
 * @module
 */
import { EventLoopPoller, HostLinuxError, type Poller, UnixListener, UnixSocket, type Watch } from "@virtspace/host-linux";
import type { VirtAddressSpace } from "@virtspace/virt-address-space";
import { type DeviceRunner, FeatureSet, type Logger, requirePollTime, silentLogger } from "@virtspace/virtio";
import { VhostUserError } from "../error/vhost-user-error.ts";
import { closeRingDirectory, openRingDirectory, RingFiles } from "../inflight/ring-files.ts";
import { Session } from "../session/session.ts";
import type { VhostUserDevice } from "../session/vhost-user-device.ts";

/** A front-end that is connected. */
export interface Guest {
  /** Counts from 1. */
  readonly number: number;
  /** Its process. */
  readonly pid: number;
  /** Its device. */
  readonly device: VhostUserDevice;
  /** Its memory. */
  readonly space: VirtAddressSpace;
  /** What drives its device: queues that run, and their counters. */
  readonly runner: DeviceRunner;
  /** @internal */
  readonly session: Session;
}

/** How devices are served. */
export interface ServeOptions {
  /** The socket's path. */
  readonly path: string;
  /** Makes a device for a front-end; one that is disposable is disposed with the session. */
  readonly device: (number: number) => VhostUserDevice;
  /** Says what happens; silent unless given. */
  readonly log?: Logger;
  /** Where what concerns one front-end alone is told, by its device; there too unless given. */
  readonly sessionLog?: (device: VhostUserDevice) => Logger;
  /** Who waits; the event loop unless given. */
  readonly poller?: Poller;
  /** The only user whose processes are served; any that the socket's permissions let in unless given. */
  readonly uid?: number;
  /** The socket's permissions; 0600 unless given. */
  readonly mode?: number;
  /** Whether memory is taken that its owner can shrink: he can end this process then. */
  readonly unsealed?: boolean;
  /**
   * A directory of this user's own where it is written down what devices have taken from rings, so that a server that comes after
   * this one was killed goes on: for front-ends that don't keep that themselves. Nowhere unless given.
   */
  readonly journal?: string;
  /**
   * How long a queue looks for more after a buffer before it waits for a notification, microseconds; 0 unless given. Round trips
   * become shorter, and a processor is used as long as there is traffic.
   */
  readonly pollMicroseconds?: number;
  /**
   * Features that are not offered, whatever the device and its queues can do: for front-ends that take what they can't do. Withhold
   * with one those that need it; vhost-user's own (PROTOCOL_FEATURES, LOG_ALL) stay. None unless given.
   */
  readonly withheld?: FeatureSet;
  /** A front-end has come. */
  readonly onJoin?: (guest: Guest) => void;
  /** A front-end is gone; with an error where it did something wrong. */
  readonly onLeave?: (guest: Guest, error: Error | undefined) => void;
}

/** How a front-end is gone to. */
export interface ConnectOptions extends ServeOptions {
  /** Milliseconds until the next try, where nobody listens or the front-end is gone; 1000 unless given. */
  readonly retryMilliseconds?: number;
}

/** How long nobody is taken after that failed. */
const PAUSE_MILLISECONDS = 100;

/** Serves. Dispose it to end all sessions and give the path back. */
export class VhostUserServer implements Disposable {
  readonly #options: ServeOptions;
  readonly #poller: Poller;
  readonly #log: Logger;
  readonly #guests = new Set<Guest>();
  #listener: UnixListener | undefined;
  #watch: Watch | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMilliseconds = 0;
  #count = 0;
  #open = true;

  private constructor(options: ServeOptions) {
    requirePollTime(options.pollMicroseconds ?? 0);
    this.#options = options;
    this.#poller = options.poller ?? new EventLoopPoller();
    this.#log = options.log ?? silentLogger;
  }

  /**
   * Listens at a path, which nobody else may have.
   *
   * Throws `HostLinuxError` `socket-in-use`, `system-call`, `invalid-argument`; `VirtioError` `invalid-argument`.
   *
   * @throws {@link VhostUserError} `bad-journal`
   */
  static listen(options: ServeOptions): VhostUserServer {
    const server = new VhostUserServer(options);
    const { path, mode = 0o600, journal } = options;
    const listener = UnixListener.listen(path, { mode });
    try {
      if (journal !== undefined) openRingDirectory(journal);
    } catch (error) {
      listener[Symbol.dispose]();
      throw error;
    }
    server.#listener = listener;
    server.#watch = server.#poller.watch(listener, { readable: true }, () => server.#accept(listener));
    return server;
  }

  /**
   * Connects to a path where a front-end listens, again and again.
   *
   * Throws `VirtioError` `invalid-argument`.
   *
   * @throws {@link VhostUserError} `bad-journal`
   */
  static connect(options: ConnectOptions): VhostUserServer {
    const server = new VhostUserServer(options);
    if (options.journal !== undefined) openRingDirectory(options.journal);
    server.#retryMilliseconds = options.retryMilliseconds ?? 1000;
    server.#connect();
    return server;
  }

  /** The front-ends that are connected. */
  get guests(): readonly Guest[] {
    return [...this.#guests];
  }

  #accept(listener: UnixListener): void {
    try {
      for (let socket = listener.accept(); socket !== undefined; socket = listener.accept()) this.#begin(socket);
    } catch (cause) {
      // As long as there are no descriptors left those who wait would call again and again.
      this.#log.error("no front-end can be taken for now", { cause });
      this.#watch?.change({});
      this.#retry = setTimeout(() => this.#watch?.change({ readable: true }), PAUSE_MILLISECONDS);
    }
  }

  #connect(): void {
    if (!this.#open) return;
    try {
      this.#begin(UnixSocket.connect(this.#options.path));
    } catch (error) {
      if (!HostLinuxError.is(error, "system-call")) throw error;
      this.#tryLater();
    }
  }

  #tryLater(): void {
    if (this.#open && this.#retryMilliseconds > 0) this.#retry = setTimeout(() => this.#connect(), this.#retryMilliseconds);
  }

  #begin(socket: UnixSocket): void {
    const { uid, device: make, unsealed = false, journal, pollMicroseconds = 0, withheld = FeatureSet.none, onJoin } = this.#options;
    const credentials = socket.credentials();
    if (uid !== undefined && credentials.uid !== uid) {
      const error = new VhostUserError("refused", `a process of user ${credentials.uid} was refused: user ${uid} alone is served`);
      this.#log.warn(error.message);
      socket[Symbol.dispose]();
      this.#tryLater();
      return;
    }
    const number = ++this.#count;
    let device: VhostUserDevice;
    try {
      device = make(number);
    } catch (cause) {
      this.#log.error(`no device could be made for front-end ${number}`, { cause });
      socket[Symbol.dispose]();
      this.#tryLater();
      return;
    }
    const session = new Session({
      socket,
      device,
      poller: this.#poller,
      log: this.#options.sessionLog?.(device) ?? this.#log,
      unsealed,
      pollMicroseconds,
      withheld,
      files: journal === undefined ? undefined : new RingFiles(journal, credentials.pid),
      ended: (error) => this.#ended(guest, error),
    });
    const guest: Guest = { number, pid: credentials.pid, device, space: session.space, runner: session.rings.runner, session };
    this.#guests.add(guest);
    onJoin?.(guest);
  }

  #ended(guest: Guest, error: Error | undefined): void {
    if (!this.#guests.delete(guest)) return;
    if (error !== undefined) this.#log.warn(`front-end ${guest.number} was cut off: ${error.message}`, { error });
    disposeDevice(guest.device);
    this.#options.onLeave?.(guest, error);
    this.#tryLater();
  }

  /** Ends all. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#retry);
    this.#watch?.[Symbol.dispose]();
    this.#listener?.[Symbol.dispose]();
    for (const guest of this.#guests) {
      guest.session[Symbol.dispose]();
      disposeDevice(guest.device);
      this.#options.onLeave?.(guest, undefined);
    }
    this.#guests.clear();
    if (this.#options.journal !== undefined) closeRingDirectory(this.#options.journal);
  }
}

function disposeDevice(device: VhostUserDevice): void {
  (device as Partial<Disposable>)[Symbol.dispose]?.();
}
