/** A file in memory, which other processes can map. @see memfd_create(2), fcntl(2) on sealing @module */
import { fstatSync } from "node:fs";
import { HostLinuxError } from "../error/host-linux-error.ts";
import { Fd } from "../fd/fd.ts";
import { call, tryCall } from "../native/libc.ts";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

/** What a file's owners can no longer do. */
export const Seal = {
  /** Seal anything more. */
  Seal: 1,
  /** Make it shorter. */
  Shrink: 2,
  /** Make it longer. */
  Grow: 4,
  /** Write to it. */
  Write: 8,
} as const;

/** Owns a memfd. */
export class Memfd extends Fd {
  /**
   * Makes a file of zeros that nobody can resize.
   *
   * @param size - bytes
   * @param name - shows in `/proc`
   * @throws {@link HostLinuxError} `invalid-argument`, `system-call`
   */
  static create(size: number, name = "virtspace"): Memfd {
    if (!Number.isSafeInteger(size) || size < 1) throw new HostLinuxError("invalid-argument", `a file of ${size} bytes can't be made`);
    const memfd = new Memfd(call("memfd_create", name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    try {
      call("ftruncate", memfd.number, size);
      call("fcntl", memfd.number, F_ADD_SEALS, Seal.Seal | Seal.Shrink | Seal.Grow);
    } catch (error) {
      memfd[Symbol.dispose]();
      throw error;
    }
    return memfd;
  }
}

/** The seals of a file; 0 where it is of a kind that has none. */
export function sealsOf(fd: Fd): number {
  const { result, errno } = tryCall("fcntl", fd.number, F_GET_SEALS, 0);
  return errno === 0 ? result : 0;
}

/** Bytes of a file. @throws {@link HostLinuxError} `invalid-argument` for what is none (a socket, a device) */
export function sizeOf(fd: Fd): number {
  const found = fstatSync(fd.number);
  if (!found.isFile()) throw new HostLinuxError("invalid-argument", "this descriptor is no file's: what is mapped has bytes, and a size");
  return found.size;
}
