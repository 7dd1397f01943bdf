/**
 * venet: the network card of the virtual bus. It plugs into the same backends as any other, and so talks to any other.
 *
 * @module
 */
import {
  type Frame,
  formatMac,
  macAddress,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD_SUPPORT,
  type OffloadSupport,
  writeMac,
} from "@virtspace/network";
import { VbusConnection } from "../device/vbus-connection.ts";
import { VbusDevice } from "../device/vbus-device.ts";
import { VbusDeviceInterface } from "../device/vbus-device-interface.ts";
import { type CallResult, type ErrnoName, isErrno } from "../errno/errno.ts";
import { VbusError } from "../error/vbus-error.ts";
import { defaultVbusHost, type VbusHost } from "../host/host.ts";
import type { VbusMemctx } from "../memory/vbus-memctx.ts";
import { VENET_TYPE, VENET_VERSION } from "./venet-abi.ts";
import { VenetConnection } from "./venet-connection.ts";
import { VenetCounters } from "./venet-counters.ts";

const MTU = 1500;

/** How a card is made. */
export interface VenetOptions {
  /** What it plugs into. */
  readonly backend: NetworkBackend;
  /** The guest's address: text, or a number. */
  readonly mac: string | number;
  /** For people; "venet" unless given. */
  readonly name?: string;
  /** Bytes of payload in a frame; 1500 unless given. */
  readonly mtu?: number;
  /** Frames that go out between two signals to the guest; those of a batch are told at its end. 64 unless given. */
  readonly txMitigation?: number;
  /** Replaces the services of the host. */
  readonly host?: VbusHost;
}

/** A card. */
export class Venet {
  /** For a bus. */
  readonly device: VbusDevice;
  /** What it counts. */
  readonly counters: VenetCounters = new VenetCounters();
  /** For people. */
  readonly name: string;
  readonly #options: VenetOptions;
  readonly #mac: Uint8Array;
  readonly #port: NetworkPort;
  #connection: VenetConnection | undefined;
  #enabled = true;
  #txMitigation: number;

  /** @throws {@link VbusError} `invalid-argument` */
  constructor(options: VenetOptions) {
    const { backend, mac, name = "venet", mtu = MTU, txMitigation = 64 } = options;
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_521)
      throw new VbusError("invalid-argument", `an MTU of ${mtu} can't be: give 68 to 65521`);
    if (!isMitigation(txMitigation)) throw new VbusError("invalid-argument", `a txMitigation of ${txMitigation} can't be: give 1 or more`);
    this.#options = options;
    this.name = name;
    this.#txMitigation = txMitigation;
    const number = typeof mac === "number" ? mac : macAddress(mac);
    this.#mac = new Uint8Array(6);
    writeMac(this.#mac, 0, number);
    const accepts = (): OffloadSupport => this.#connection?.accepts ?? NO_OFFLOAD_SUPPORT;
    const endpoint: NetworkEndpoint = {
      name,
      get accepts() {
        return accepts();
      },
      receive: (frame: Frame) => this.#connection?.receive(frame) ?? this.#lost(),
      flush: () => this.#connection?.flush(),
    };
    this.#port = backend.plug(endpoint);
    const shown = new VbusDeviceInterface(name, VENET_TYPE, { connect: (memctx, version) => this.#connect(memctx, version) });
    this.device = new VbusDevice(
      "venet",
      {
        busConnect: (port) => {
          const id = port.add(shown);
          return isErrno(id) ? id : 0;
        },
        busDisconnect: (port) => port.remove(shown),
        release: () => this.#port[Symbol.dispose](),
      },
      {
        client_mac: { show: () => formatMac(number) },
        ifname: { show: () => name },
        enabled: { show: () => (this.#enabled ? "1" : "0"), store: (value) => this.#storeEnabled(value) },
        txmitigation: { show: () => `${this.#txMitigation}`, store: (value) => this.#storeMitigation(value) },
      },
    );
  }

  /** Whether its cable is plugged in; the guest is told, where it asked for that. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** Plugs it in, or out. */
  set enabled(enabled: boolean) {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    this.#connection?.carrierChanged();
  }

  /** Nobody is there to take it: it is lost, as on a cable that leads nowhere. */
  #lost(): boolean {
    this.counters.dropped("link-down");
    return true;
  }

  #connect(memctx: VbusMemctx, version: number): VbusConnection | ErrnoName {
    if (version !== VENET_VERSION) return "EINVAL";
    if (this.#connection !== undefined) return "EBUSY";
    const { mtu = MTU, host = defaultVbusHost } = this.#options;
    const connection = new VenetConnection({
      ...{ memctx, mtu, host, mac: this.#mac, port: this.#port, counters: this.counters },
      ...{ enabled: () => this.#enabled, mitigation: () => this.#txMitigation },
    });
    this.#connection = connection;
    return new VbusConnection({
      call: (func, data, len): CallResult => connection.call(func, data, len),
      shm: (id, shm, signal): CallResult => connection.shm(id, shm, signal),
      close: () => {
        this.#connection = undefined;
        connection[Symbol.dispose]();
      },
    });
  }

  #storeEnabled(value: string): 0 | ErrnoName {
    if (value !== "0" && value !== "1") return "EINVAL";
    this.enabled = value === "1";
    return 0;
  }

  #storeMitigation(value: string): 0 | ErrnoName {
    if (!/^\d+$/.test(value) || !isMitigation(Number(value))) return "EINVAL";
    this.#txMitigation = Number(value);
    return 0;
  }
}

const isMitigation = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;
