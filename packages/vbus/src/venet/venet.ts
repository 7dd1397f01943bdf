/**
 * venet: the network card of the virtual bus. It plugs into the same backends as any other, and so talks to any other.
 *
 * @module
 */
import {
  type Frame,
  formatMac,
  isGroup,
  macAddress,
  type NetworkBackend,
  type NetworkEndpoint,
  type NetworkPort,
  NO_OFFLOAD_SUPPORT,
  type OffloadSupport,
  readMac,
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
const BURST = 256;

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
  /** Frames that go out between two signals to the guest, 0 for a signal each; those of a batch are told at its end. 64 unless given. */
  readonly txMitigation?: number;
  /** Frames of the guest's that go out in one turn of the event loop; 256 unless given. */
  readonly burst?: number;
  /** The address of the host's end of the cable, where it has one; told to people. */
  readonly hostMac?: string | number;
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
  readonly #mac = new Uint8Array(6);
  readonly #port: NetworkPort;
  #connection: VenetConnection | undefined;
  #enabled = true;
  #txMitigation: number;
  #burst: number;

  /** @throws {@link VbusError} `invalid-argument` */
  constructor(options: VenetOptions) {
    const { backend, mac, name = "venet", mtu = MTU, txMitigation = 64, burst = BURST, hostMac = 0 } = options;
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_521)
      throw new VbusError("invalid-argument", `an MTU of ${mtu} can't be: give 68 to 65521`);
    if (!isCount(txMitigation, 0)) throw new VbusError("invalid-argument", `a txMitigation of ${txMitigation} can't be: give 0 or more`);
    if (!isCount(burst, 1)) throw new VbusError("invalid-argument", `a burst of ${burst} can't be: give 1 or more`);
    this.#options = options;
    this.name = name;
    this.#txMitigation = txMitigation;
    this.#burst = burst;
    writeMac(this.#mac, 0, macNumber(mac));
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
        client_mac: { show: () => formatMac(readMac(this.#mac, 0)), store: (value) => this.#storeMac(value) },
        host_mac: { show: () => formatMac(macNumber(hostMac)) },
        ifname: { show: () => name },
        enabled: { show: () => (this.#enabled ? "1" : "0"), store: (value) => this.#storeEnabled(value) },
        burstthresh: { show: () => `${this.#burst}`, store: (value) => this.#storeCount(value, 1, (count) => (this.#burst = count)) },
        txmitigation: {
          show: () => `${this.#txMitigation}`,
          store: (value) => this.#storeCount(value, 0, (count) => (this.#txMitigation = count)),
        },
        // From how many bytes on a frame is not copied on its way out: none ever is, but from guest to guest.
        zcthresh: { show: () => "0" },
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
      ...{ enabled: () => this.#enabled, mitigation: () => this.#txMitigation, burst: () => this.#burst },
    });
    this.#connection = connection;
    return new VbusConnection({
      call: (func, data, len): CallResult => connection.call(func, data, len),
      shm: (id, shm, signal): CallResult => connection.shm(id, shm, signal),
      save: () => connection.save(),
      restore: (state, shareAgain) => connection.restore(state, shareAgain),
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

  /** A guest that has it open knows the address: it stays then. */
  #storeMac(value: string): 0 | ErrnoName {
    if (this.#connection !== undefined) return "EBUSY";
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value) || isGroup(macAddress(value))) return "EINVAL";
    writeMac(this.#mac, 0, macAddress(value));
    return 0;
  }

  #storeCount(value: string, least: number, store: (count: number) => void): 0 | ErrnoName {
    if (!/^\d+$/.test(value) || !isCount(Number(value), least)) return "EINVAL";
    store(Number(value));
    return 0;
  }
}

const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least;
const macNumber = (mac: string | number): number => (typeof mac === "number" ? mac : macAddress(mac));
