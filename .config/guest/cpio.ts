/**
 * The archive that a kernel takes its first files from: cpio in its "newc" form, uncompressed. Compression would save nothing:
 * an emulated processor unpacks slower than QEMU loads.
 *
 * @see the kernel's Documentation/driver-api/early-userspace/buffer-format.rst
 */

/** A file, folder or symbolic link; its folder comes before it. */
export interface CpioEntry {
  readonly path: string;
  /** As in stat: type and permissions. */
  readonly mode: number;
  /** A file's bytes, a link's target. */
  readonly data: Uint8Array;
}

export const folder = (path: string): CpioEntry => ({ path, mode: 0o040_755, data: new Uint8Array() });
export const file = (path: string, data: Uint8Array | string): CpioEntry => ({ path, mode: 0o100_755, data: Buffer.from(data) });
export const link = (path: string, target: string): CpioEntry => ({ path, mode: 0o120_777, data: Buffer.from(target) });

function padded(length: number): number {
  return (length + 3) & ~3;
}

function record({ path, mode, data }: CpioEntry, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, time, size, four device numbers, length of the name, checksum
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  const start = padded(head.length + name.length);
  const bytes = Buffer.alloc(start + padded(data.length));
  bytes.set(head);
  bytes.set(name, head.length);
  bytes.set(data, start);
  return bytes;
}

/** An archive of entries, in their order. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const end = { path: "TRAILER!!!", mode: 0, data: new Uint8Array() };
  return Buffer.concat([...entries, end].map(record));
}
