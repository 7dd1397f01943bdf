/**
 * A connector without a guest: a program in this process uses a bus's devices, over memory of its own. It is what the originals had as
 * `null` and `localhost`: for tests of devices, and for programs that want a device without a machine.
 *
 * @module
 */
import { gpa, sharedMemory, VirtAddressSpace } from "@virtspace/virt-address-space";
import type { Vbus } from "../device/vbus.ts";
import { type CallResult, type ErrnoName, isErrno } from "../errno/errno.ts";
import type { VbusHost } from "../host/host.ts";
import { VbusMemctx } from "../memory/vbus-memctx.ts";
import type { VbusShm } from "../memory/vbus-shm.ts";
import { ShmSignal } from "../signal/shm-signal.ts";
import { VbusClient } from "./vbus-client.ts";

const ALIGNMENT = 64;

/** How a connector is made. */
export interface LocalConnectorOptions {
  /** The bus. */
  readonly bus: Vbus;
  /** Bytes of memory to share with devices; 1 MiB unless given. */
  readonly memory?: number;
  /** Replaces the services of the host. */
  readonly host?: VbusHost;
}

/** Memory that the program and a device share. */
export interface LocalShm {
  /** Its bytes: the program has a reference. */
  readonly shm: VbusShm;
  /** The program's end of its signal, where it has one. */
  readonly signal: ShmSignal | undefined;
}

/** A connector. Dispose it to close all that it has open. */
export class LocalConnector implements Disposable {
  /** The program's memory, as devices see it. */
  readonly memctx: VbusMemctx;
  readonly #space: VirtAddressSpace;
  readonly #client: VbusClient;
  readonly #host: { readonly host?: VbusHost };
  readonly #signals = new Map<bigint, ShmSignal>();
  readonly #shared: VbusShm[] = [];
  readonly #size: number;
  #next = ALIGNMENT;
  #cookie = 0n;

  constructor({ bus, memory = 1 << 20, host }: LocalConnectorOptions) {
    this.#size = memory;
    this.#space = VirtAddressSpace.create({ name: `a program on ${bus.name}` });
    this.#space.map({ name: "memory", base: gpa(0), memory: sharedMemory(memory) });
    this.memctx = new VbusMemctx(this.#space);
    this.#host = host === undefined ? {} : { host };
    this.#client = new VbusClient({
      bus,
      memctx: this.memctx,
      signalled: ({ cookie }) => this.#signals.get(cookie)?.wake(),
      ...this.#host,
    });
  }

  /** Opens a device. @returns a handle, or why not */
  open(id: number, version: number): CallResult {
    return this.#client.deviceopen(id, version);
  }

  /** Closes it. @returns 0; `ENOENT` */
  close(handle: number): CallResult {
    return this.#client.deviceclose(handle);
  }

  /** Calls it. @param data - parameters; what the device answers there is there then @returns the result; `ENOMEM` where there is no room for them */
  call(handle: number, func: number, data: Uint8Array = new Uint8Array(0)): CallResult {
    const at = this.#next;
    if (at + data.length > this.#size) return "ENOMEM";
    this.memctx.copyTo(at, data);
    const result = this.#client.devicecall(handle, func, at, data.length, 0);
    this.memctx.copyFrom(data, at);
    return result;
  }

  /**
   * Takes memory and gives it to a device. It stays taken.
   *
   * @param format - writes into it what the device has to find
   * @param signal - where in it a signal is to be, which `format` wrote
   * @returns the memory; `ENOMEM`, and what the device says
   */
  share(handle: number, id: number, length: number, format: (shm: VbusShm) => void, signal?: number): LocalShm | ErrnoName {
    const ptr = this.#next;
    if (ptr + length > this.#size) return "ENOMEM";
    const shm = this.memctx.shm(ptr, length);
    if (isErrno(shm)) return shm;
    this.#next = Math.ceil((ptr + length) / ALIGNMENT) * ALIGNMENT;
    this.#shared.push(shm);
    format(shm);
    const cookie = this.#cookie++;
    const request = signal === undefined ? undefined : { offset: signal, prio: 0, cookie };
    const result = this.#client.deviceshm(handle, id, ptr, length, 0, request);
    if (isErrno(result)) return result;
    if (signal === undefined) return { shm, signal: undefined };
    const mine = new ShmSignal({ shm, offset: signal, locale: "north", inject: () => this.#client.shmsignal(result), ...this.#host });
    this.#signals.set(cookie, mine);
    return { shm, signal: mine };
  }

  /** Closes all. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#space.released) return;
    this.#client[Symbol.dispose]();
    for (const signal of this.#signals.values()) signal[Symbol.dispose]();
    for (const shm of this.#shared.splice(0)) shm.put();
    this.#space[Symbol.dispose]();
  }
}
