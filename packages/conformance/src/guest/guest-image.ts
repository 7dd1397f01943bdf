/**
 * Guests of the project's own: small 32-bit programs that run unmodified on every engine, and under QEMU. Their sources are in the folder
 * `guests` of this package.
 *
 * - `hello` says a line, and writes 0 to the exit port.
 * - `count` counts edges of an interrupt line (`line=5 interrupts=10`), and writes each count but the last to port 0x510.
 * - `net` drives a virtio-net card over virtio-mmio (`virtio_mmio.device=4K@0xd0000000:5`, `packed`), a venet on a virtual bus
 *   (`vbus.bridge=64@0xd0100000:0x700:10`: window in memory, first port, line, the bridge's interrupt being an edge; `pieces`, `slow`), or
 *   each of them: it gets an address by DHCP, pings its gateway (`ping=4`), has datagrams echoed (`udp=0`), and then leaves (`exit`) or
 *   answers others. Lines about the venet begin with its name.
 *
 * They talk on the first serial port, and are loaded to 1 MiB by a multiboot loader, which hands them their command line.
 *
 * @module
 */
import { IMAGE_BYTES } from "./image-bytes.ts";

/** A guest's name. */
export type GuestName = "hello" | "count" | "net";

const { atob } = globalThis as unknown as { atob(text: string): string };

/** A guest's image: for a multiboot loader, or flat for 0x100000. */
export function guestImage(name: GuestName): Uint8Array {
  return Uint8Array.from(atob(IMAGE_BYTES[name].join("")), (letter) => letter.charCodeAt(0));
}
