/** The bytes of virtio-blk: numbers, the configuration and the head of a request. @see virtio 1.3, section 5.2 */
import { ConfigBytes } from "@virtspace/virtio";

/** What a device offers. */
export const Feature = { SegMax: 2, ReadOnly: 5, BlockSize: 6, Flush: 9, Topology: 10, Queues: 12, Discard: 13, WriteZeroes: 14 } as const;

/** What a request asks for. */
export const Type = { In: 0, Out: 1, Flush: 4, GetId: 8, Discard: 11, WriteZeroes: 13 } as const;

/** How it went: a request's last byte. */
export const Status = { Ok: 0, IoError: 1, Unsupported: 2 } as const;

/** How it went. */
export type Status = (typeof Status)[keyof typeof Status];

/** Bytes of a request's head: type, something reserved, sector. */
export const HEAD_BYTES = 16;
/** Bytes of a disk's name. */
export const ID_BYTES = 20;
/** Bytes of a run of sectors in DISCARD and WRITE_ZEROES: sector, count, flags. */
export const RUN_BYTES = 16;
/** The most runs of one request. */
export const MOST_RUNS = 16;
/** The most sectors of a run: 32 MiB, so that no request takes long. */
export const MOST_RUN_SECTORS = 65_536;
/** A flag of WRITE_ZEROES: the device may give the bytes back. */
export const UNMAP = 1;

/** A number of 64 bits. One beyond 2^53 loses its last bits, and is far behind the end of any disk all the same. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** What a driver is told of a disk. */
export function configuration(disk: { readonly sectors: number; readonly queues: number; readonly segments: number }): ConfigBytes {
  const config = new ConfigBytes(60);
  const { data } = config;
  data.setBigUint64(0, BigInt(disk.sectors), true);
  data.setUint32(12, disk.segments, true);
  data.setUint32(20, 512, true); // a block
  data.setUint8(24, 3); // 2 to this many blocks lie together: 4096 bytes, as on disks of today
  data.setUint16(26, 8, true); // what is best read and written at once, in blocks
  data.setUint16(34, disk.queues, true);
  data.setUint32(36, MOST_RUN_SECTORS, true);
  data.setUint32(40, MOST_RUNS, true);
  data.setUint32(44, 8, true); // what is best discarded at once, in sectors
  data.setUint32(48, MOST_RUN_SECTORS, true);
  data.setUint32(52, MOST_RUNS, true);
  data.setUint8(56, 1); // WRITE_ZEROES may give bytes back
  return config;
}
