/** Where a capture is written. @module */
import { constants, createWriteStream, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";

const { O_CREAT, O_NONBLOCK, O_TRUNC, O_WRONLY } = constants;

/** Why a capture can't be written: for the command line to say. */
export class CaptureFileError extends Error {
  override readonly name = "CaptureFileError";
}

/**
 * Opens a file, or a FIFO that somebody reads (Wireshark's live capture), at once: what can't be had ends the command.
 *
 * @throws of `node:fs`; {@link CaptureFileError} for a FIFO that nobody reads
 */
export function openCaptureFile(path: string): Writable {
  // Without O_NONBLOCK, opening a FIFO waits for its reader, and not even a signal ends that.
  const fd = openFor(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK);
  // A stream of files takes a FIFO that is full for broken.
  return fstatSync(fd).isFIFO() ? new Socket({ fd, readable: false, writable: true }) : createWriteStream(path, { fd });
}

function openFor(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
    throw new CaptureFileError(`nobody reads the FIFO ${path} (ENXIO): start its reader first`, { cause: error });
  }
}
