/**
 * A guest's side of a bus, within the host: what it has open, by handles that mean nothing elsewhere. A connector (the bridge, a program
 * in this process) brings a guest's requests here.
 *
 * @module
 */
import type { Vbus } from "../device/vbus.ts";
import { VbusConnection, type VbusConnectionOps } from "../device/vbus-connection.ts";
import { type CallResult, isErrno } from "../errno/errno.ts";
import { defaultVbusHost, type VbusHost } from "../host/host.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import type { ClientState, OpenDeviceState, SharedState } from "../state/vbus-state.ts";

/** The most that a guest has open: devices, and pieces of memory that it shared with them. */
const MOST_HANDLES = 4096;

/** Where in shared memory a signal is, and how the guest wants to be called. */
export interface SignalRequest {
  /** Bytes from the start of the memory. */
  readonly offset: number;
  /** 0 to 7; the highest comes first. */
  readonly prio: number;
  /** The guest's own word for it. */
  readonly cookie: bigint;
}

/** How a client is made. */
export interface VbusClientOptions {
  /** The bus. */
  readonly bus: Vbus;
  /** The guest's memory. */
  readonly memctx: VbusMemctx;
  /** Calls the guest: a signal has news for it. */
  readonly signalled: (request: SignalRequest) => void;
  /** A device that the guest has open is gone, or was closed: nothing comes of that signal any more. */
  readonly dropped?: (request: SignalRequest) => void;
  /** Replaces the services of the host. */
  readonly host?: VbusHost;
}

interface OpenDevice {
  readonly kind: "device";
  readonly id: number;
  readonly version: number;
  readonly name: string;
  readonly connection: VbusConnection;
  readonly shared: OpenShared[];
}

interface OpenShared extends Omit<SharedState, "signal"> {
  readonly signal: OpenSignal | undefined;
}

interface OpenSignal {
  readonly kind: "signal";
  readonly handle: number;
  readonly signal: ShmSignal;
  readonly request: SignalRequest;
}

/** What a guest has open. */
export class VbusClient implements Disposable {
  readonly #options: VbusClientOptions;
  readonly #open = new Map<number, OpenDevice | OpenSignal>();
  #listening: Disposable | undefined;
  #nextHandle = 1;
  #shared = 0;

  constructor(options: VbusClientOptions) {
    this.#options = options;
  }

  /** How many handles are open. */
  get openHandles(): number {
    return this.#open.size;
  }

  /** Opens a device. @returns a handle; `ENOENT` for a number that nobody has; what the device says */
  deviceopen(id: number, version: number): CallResult {
    const { bus, memctx } = this.#options;
    const entry = bus.find(id);
    if (entry === undefined) return "ENOENT";
    if (this.#open.size >= MOST_HANDLES) return "ENOSPC";
    const { name, ops } = entry.shown;
    const connection = bus.guard(name, () => ops.connect(memctx, version));
    if (isErrno(connection)) return connection;
    if (!(connection instanceof VbusConnection)) return "EIO";
    const handle = this.#nextHandle++;
    this.#listen();
    this.#open.set(handle, { kind: "device", id, version, name, connection, shared: [] });
    return handle;
  }

  /** Closes a device: its signals first. @returns 0; `ENOENT` for no device's handle */
  deviceclose(handle: number): CallResult {
    const device = this.#device(handle);
    if (device === undefined) return "ENOENT";
    this.#open.delete(handle);
    this.#close(device);
    return 0;
  }

  /** Calls a device. @returns what it answers; `ENOENT`; `ENODEV` where it is gone */
  devicecall(handle: number, func: number, data: number, len: number, flags: number): CallResult {
    const device = this.#device(handle);
    if (device === undefined) return "ENOENT";
    if (device.connection.closed) return "ENODEV";
    return this.#options.bus.guard(device.name, () => device.connection.ops.call(func, data, len, flags));
  }

  /**
   * Gives a device shared memory.
   *
   * @returns the handle of its signal, 0 without one; `ENOENT`, `ENODEV`; `EFAULT` and `EINVAL` for memory, or a signal in it, that is none
   */
  deviceshm(handle: number, id: number, ptr: number, len: number, flags: number, request?: SignalRequest): CallResult {
    const device = this.#device(handle);
    if (device === undefined) return "ENOENT";
    if (device.connection.closed) return "ENODEV";
    return this.#share(device, { id, ptr, len, flags }, request);
  }

  /** The guest has news for a signal's device. @returns 0; `ENOENT` for no signal's handle */
  shmsignal(handle: number): CallResult {
    const open = this.#open.get(handle);
    if (open?.kind !== "signal") return "ENOENT";
    open.signal.wake();
    return 0;
  }

  /** What is open, for where the guest goes. Devices tell the guest before what they have to tell. */
  save(): ClientState {
    const devices = [...this.#open].flatMap(([handle, open]) => {
      if (open.kind !== "device") return [];
      const { id, version, name, connection } = open;
      const state = connection.closed ? undefined : this.#options.bus.guard(name, () => connection.ops.save?.());
      return [{ handle, id, version, memory: open.shared.map(stateOf), state: isErrno(state) ? undefined : state }];
    });
    return { nextHandle: this.#nextHandle, devices };
  }

  /** Opens all that was open elsewhere, by the same handles. What can't be had here is gone for the guest, and says `ENODEV`. */
  restore({ nextHandle, devices }: ClientState): void {
    for (const device of devices) this.#reopen(device);
    this.#nextHandle = nextHandle;
  }

  /** Closes all: the guest is gone, or begins anew. */
  reset(): void {
    this.#listening?.[Symbol.dispose]();
    this.#listening = undefined;
    for (const [handle, open] of [...this.#open]) {
      if (open.kind !== "device") continue;
      this.#open.delete(handle);
      this.#close(open);
    }
  }

  /** Closes all. Idempotent. */
  [Symbol.dispose](): void {
    this.reset();
  }

  /** Who has nothing open has nothing to hear. */
  #listen(): void {
    this.#listening ??= this.#options.bus.listen(({ kind, id }) => {
      if (kind === "devdrop") this.#deviceGone(id);
    });
  }

  #device(handle: number): OpenDevice | undefined {
    const open = this.#open.get(handle);
    return open?.kind === "device" ? open : undefined;
  }

  #share(device: OpenDevice, place: Omit<SharedState, "signal">, request: SignalRequest | undefined, handle?: number): CallResult {
    if (this.#open.size + this.#shared >= MOST_HANDLES) return "ENOSPC";
    const { bus, memctx, host = defaultVbusHost, signalled } = this.#options;
    const shm = memctx.shm(place.ptr, place.len);
    if (isErrno(shm)) return shm;
    if (request !== undefined && !ShmSignal.isAt(shm, request.offset)) {
      shm.put();
      return "EINVAL";
    }
    const signal =
      request === undefined
        ? undefined
        : new ShmSignal({ shm, offset: request.offset, locale: "south", inject: () => signalled(request), host });
    const result = bus.guard(device.name, () => device.connection.ops.shm(place.id, shm, signal, place.flags));
    // Whoever keeps the memory has taken a reference of his own.
    shm.put();
    if (isErrno(result)) {
      signal?.[Symbol.dispose]();
      return result;
    }
    this.#shared++;
    if (request === undefined || signal === undefined) {
      device.shared.push({ ...place, signal: undefined });
      return 0;
    }
    const open: OpenSignal = { kind: "signal", handle: handle ?? this.#nextHandle++, signal, request };
    device.shared.push({ ...place, signal: open });
    this.#open.set(open.handle, open);
    return open.handle;
  }

  #reopen({ handle, id, version, memory, state }: OpenDeviceState): void {
    const { bus, memctx } = this.#options;
    const { name = "a device that is gone", ops } = bus.find(id)?.shown ?? {};
    const made = bus.guard(name, () => ops?.connect(memctx, version) ?? "ENODEV");
    const connection = made instanceof VbusConnection ? made : new VbusConnection(GONE);
    const device: OpenDevice = { kind: "device", id, version, name, connection, shared: [] };
    this.#listen();
    this.#open.set(handle, device);
    const shareAgain = (): void => {
      for (const { signal, ...place } of memory) {
        const request = signal && { offset: signal.offset, prio: signal.prio, cookie: BigInt(signal.cookie) };
        this.#share(device, place, request, signal?.handle);
      }
    };
    const { restore } = connection.ops;
    const result = bus.guard(name, () => (restore === undefined ? shareAgain() : restore.call(connection.ops, state, shareAgain)));
    if (connection.ops === GONE || isErrno(result)) this.#quiesce(device);
  }

  /** Signals, then the connection, then its reference: a device that is being closed is called no more. */
  #close(device: OpenDevice): void {
    this.#quiesce(device);
    this.#options.bus.guard(device.name, () => device.connection.put());
  }

  /** The guest's handle stays until it closes it: what it asks for is `ENODEV`. */
  #deviceGone(id: number): void {
    for (const open of this.#open.values()) if (open.kind === "device" && open.id === id) this.#quiesce(open);
  }

  #quiesce({ name, connection, shared }: OpenDevice): void {
    this.#shared -= shared.length;
    for (const { signal } of shared.splice(0)) {
      if (signal === undefined) continue;
      this.#open.delete(signal.handle);
      signal.signal[Symbol.dispose]();
      this.#options.dropped?.(signal.request);
    }
    this.#options.bus.guard(name, () => connection.close());
  }
}

/** Stands for a device that could not be had again. */
const GONE: VbusConnectionOps = { call: () => "ENODEV", shm: () => "ENODEV", close: () => {} };

function stateOf({ signal, ...place }: OpenShared): SharedState {
  if (signal === undefined) return place;
  const { handle, request } = signal;
  const { offset, prio, cookie } = request;
  return { ...place, signal: { handle, offset, prio, cookie: `${cookie}` } };
}
