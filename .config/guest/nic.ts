/** A guest's network interface, and what of QEMU's command line it is. */
import type { Machine } from "./machine.ts";

/** Where an interface's frames go. */
export type NicBackend =
  /** A back-end that listens on a unix socket. Unless QEMU is to `reconnect`, it listens before the guest starts. */
  | { readonly kind: "vhost-user"; readonly path: string; readonly reconnect?: boolean }
  /** QEMU's own device, a frame a datagram between two unix sockets. Frames to nobody are lost. */
  | { readonly kind: "dgram"; readonly local: string; readonly remote: string }
  /** QEMU's own device on a unix stream. The one that listens starts first; the other is without a link, unsaid, if nobody listens. */
  | { readonly kind: "stream"; readonly path: string; readonly listens: boolean };

/** An interface. The first is eth0 in the guest. */
export interface Nic {
  readonly backend: NicBackend;
  /** There is no default: QEMU gives the same to each guest's first one. */
  readonly mac: string;
  /** Pairs of queues; 1 if not given. The guest uses as many as it has processors, up to these. Only for vhost-user. */
  readonly queues?: number;
  /** Offers packed rings. */
  readonly packed?: boolean;
  /** MSI-X vectors on PCI; 0 if not given: with any, QEMU 7.2 crashes when a driver of a vhost-user device starts without KVM. */
  readonly vectors?: number;
  /** Other properties of QEMU's virtio-net device, as `{ mrg_rxbuf: "off" }`. */
  readonly properties?: Readonly<Record<string, string | number>>;
}

/** In an option's value a comma is doubled. */
const value = (text: string): string => text.replaceAll(",", ",,");

function netdev({ backend, queues = 1 }: Nic, i: number): string[] {
  const id = `id=net${i}`;
  switch (backend.kind) {
    case "vhost-user": {
      const reconnect = backend.reconnect === true ? ",reconnect=1" : "";
      const pairs = queues > 1 ? `,queues=${queues}` : "";
      const chardev = `socket,id=vhost${i},path=${value(backend.path)}${reconnect}`;
      return ["-chardev", chardev, "-netdev", `vhost-user,${id},chardev=vhost${i}${pairs}`];
    }
    case "dgram": {
      const local = `local.type=unix,local.path=${value(backend.local)}`;
      return ["-netdev", `dgram,${id},${local},remote.type=unix,remote.path=${value(backend.remote)}`];
    }
    case "stream":
      return ["-netdev", `stream,${id},server=${backend.listens ? "on" : "off"},addr.type=unix,addr.path=${value(backend.path)}`];
  }
}

/** An interface as QEMU's arguments; its ids are `net0`, `vhost0`, `nic0` for the first. */
export function nicArguments(nic: Nic, i: number, machine: Machine): string[] {
  const { mac, queues = 1, packed = false, vectors = 0, properties = {} } = nic;
  // No boot ROM: a guest never boots from a network, and the ROM costs time.
  const place = machine === "q35" ? { vectors, romfile: "" } : {};
  const pairs = queues > 1 ? { mq: "on" } : {};
  const all = { netdev: `net${i}`, id: `nic${i}`, mac, packed: packed ? "on" : "off", ...place, ...pairs, ...properties };
  const model = machine === "q35" ? "virtio-net-pci" : "virtio-net-device";
  return [...netdev(nic, i), "-device", [model, ...Object.entries(all).map(([key, what]) => `${key}=${value(`${what}`)}`)].join(",")];
}
