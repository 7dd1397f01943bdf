/** Where a capture is written. @module */
import { constants, createWriteStream, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { PcapngWriter } from "@virtspace/network";

const { O_CREAT, O_NONBLOCK, O_TRUNC, O_WRONLY } = constants;

/** What waits for a slow disk: guests must not fill this process's memory with what they send. */
const MOST_UNWRITTEN_BYTES = 64 * 1024 * 1024;

/** Whom a capture tells. */
export interface CaptureEvents {
  /** The file can't be written any more. */
  readonly onGone: (name: string) => void;
  /** Told at the end where the capture lacks frames. */
  readonly onSkipped: (file: string, frames: number) => void;
}

/** Why a capture can't be written: for the command line to say. */
export class CaptureFileError extends Error {
  override readonly name = "CaptureFileError";
}

/**
 * Opens a capture. Its end is the stack's.
 *
 * @throws of `node:fs`; {@link CaptureFileError}
 */
export function openCapture(path: string, stack: AsyncDisposableStack, { onGone, onSkipped }: CaptureEvents): PcapngWriter {
  const file = openCaptureFile(path);
  // What can't be written is told once; the network goes on.
  file.on("error", (error) => onGone(`${path}: ${error.message}`));
  stack.defer(() => new Promise<void>((resolve) => file.end(() => resolve())));
  const writer = new PcapngWriter((bytes) => void (file.writable && file.write(bytes)), {
    now: fineClock(),
    hasRoom: () => file.writableLength < MOST_UNWRITTEN_BYTES,
  });
  stack.defer(() => {
    if (writer.skipped > 0) onSkipped(path, writer.skipped);
  });
  return writer;
}

/** How far the fine clock may be from the wall's, milliseconds, which steps where it was wrong. */
const MOST_AHEAD = 2;

/** The wall clock, finer than a millisecond. */
function fineClock(): () => number {
  let origin = performance.timeOrigin;
  return () => {
    const wall = Date.now();
    if (Math.abs(origin + performance.now() - wall) > MOST_AHEAD) origin = wall - performance.now();
    return origin + performance.now();
  };
}

/**
 * Opens a file, or a FIFO that somebody reads (Wireshark's live capture), at once: what can't be had ends the command.
 *
 * @throws of `node:fs`; {@link CaptureFileError} for a FIFO that nobody reads
 */
function openCaptureFile(path: string): Writable {
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
