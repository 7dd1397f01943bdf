/** A space's messages as bytes with file descriptors beside them. What no other process can have is left out of them. @module */
import { HostLinuxError } from "../error/host-linux-error.ts";

/** A message for a socket. */
export interface EncodedMessage {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
}

/** Writes a message down. */
export function encodeMessage(message: unknown): EncodedMessage {
  const fds: number[] = [];
  const text = JSON.stringify(message, (name, value: unknown) => {
    if (typeof value === "bigint") return { $bigint: String(value) };
    // Shared memory of this process: the other side does without, and writes that we can't see count as made.
    if (name === "bitmaps" || isOfThisProcess(value)) return undefined;
    if (name === "fds" && Array.isArray(value)) return value.map((fd: number) => fds.push(fd) - 1);
    return value;
  });
  return { bytes: new TextEncoder().encode(text), fds };
}

/** Memory and notifiers whose descriptors hold a buffer that only threads can share. */
function isOfThisProcess(value: unknown): boolean {
  const payload = (value as { payload?: unknown } | null | undefined)?.payload;
  return typeof SharedArrayBuffer === "function" && payload instanceof SharedArrayBuffer;
}

/**
 * Reads a message; it comes from another process and is not to be trusted.
 *
 * @throws {@link HostLinuxError} `protocol`
 */
export function decodeMessage(bytes: Uint8Array, fds: readonly number[]): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes), (name, value: unknown) => {
      if (name === "__proto__") return undefined;
      if (name === "fds" && Array.isArray(value)) return value.map((index) => fdAt(fds, index));
      const text = (value as { $bigint?: unknown } | null)?.$bigint;
      return typeof text === "string" && text.length < 40 ? BigInt(text) : value;
    });
  } catch (cause) {
    throw new HostLinuxError("protocol", "what came over the socket is no message of a space", {}, { cause });
  }
}

function fdAt(fds: readonly number[], index: unknown): number {
  const fd = Number.isInteger(index) ? fds[index as number] : undefined;
  if (fd === undefined) throw new RangeError("a descriptor that did not come");
  return fd;
}
