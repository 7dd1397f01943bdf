/**
 * Tables of buffers in flight in a directory of one's own, for front-ends that keep none: QEMU (7.2) keeps none for a network card,
 * and where a packed ring stands nothing else says once its back-end was killed.
 *
 * @module
 */
import { constants, ftruncateSync, lstatSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Fd, Mapping, sizeOf } from "@virtspace/host-linux";
import { VhostUserError } from "../error/vhost-user-error.ts";
import type { RingKey } from "./ring-tables.ts";

const SUFFIX = ".ring";
const OTHERS_WRITE = 0o022;

interface RingFile {
  readonly path: string;
  readonly mapping: Mapping;
}

/**
 * Makes the directory, and removes what front-ends left there that are gone.
 *
 * @throws {@link VhostUserError} `bad-journal`
 */
export function openRingDirectory(directory: string): void {
  try {
    makeDirectory(directory);
    const found = lstatSync(directory);
    if (!found.isDirectory() || found.uid !== process.geteuid?.() || (found.mode & OTHERS_WRITE) !== 0) {
      throw new Error("it is no directory, or others can write there");
    }
    removeOrphans(directory);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new VhostUserError("bad-journal", `${directory} can't keep where rings stand: ${why}; give a directory of your own, or none`, {
      cause,
    });
  }
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Removes the directory, unless there is something in it for who comes after. */
export function closeRingDirectory(directory: string): void {
  try {
    removeOrphans(directory);
    rmdirSync(directory);
  } catch {
    // There is.
  }
}

/** Removes the files of front-ends that are gone. */
function removeOrphans(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.endsWith(SUFFIX) && isGone(Number.parseInt(name, 10))) rmSync(join(directory, name), { force: true });
  }
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** The files of one front-end. Dispose it to close them; those stay whose ring's position the front-end was not told. */
export class RingFiles implements Disposable {
  readonly #directory: string;
  readonly #pid: number;
  readonly #open = new Map<number, RingFile>();
  readonly #told = new Set<number>();

  /** @param pid - the front-end's: it outlives its back-end */
  constructor(directory: string, pid: number) {
    this.#directory = directory;
    this.#pid = pid;
  }

  /** Maps the file of a ring, which is made where there is none. */
  table({ index, place }: RingKey, bytes: number): DataView {
    this.#told.delete(index);
    const path = join(this.#directory, `${this.#pid}-${place}${SUFFIX}`);
    const known = this.#open.get(index);
    if (known?.path !== path || known.mapping.size !== bytes) {
      if (known !== undefined) this.#close(known, known.path !== path);
      this.#open.delete(index);
      this.#open.set(index, { path, mapping: mapFile(path, bytes) });
    }
    const { mapping } = this.#open.get(index) as RingFile;
    return new DataView(mapping.bytes.buffer, mapping.bytes.byteOffset, bytes);
  }

  #close({ path, mapping }: RingFile, remove: boolean): void {
    mapping[Symbol.dispose]();
    if (remove) rmSync(path, { force: true });
  }

  /** The front-end knows where a ring stands. */
  told(index: number): void {
    this.#told.add(index);
  }

  /** Removes them. */
  clear(): void {
    for (const file of this.#open.values()) this.#close(file, true);
    this.#open.clear();
  }

  [Symbol.dispose](): void {
    for (const [index, file] of this.#open) this.#close(file, this.#told.has(index));
    this.#open.clear();
  }
}

function mapFile(path: string, bytes: number): Mapping {
  using fd = new Fd(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
  if (sizeOf(fd) !== bytes) {
    ftruncateSync(fd.number, 0);
    // Written, not just made longer: where the disk is full that is an error now, and a store would be a signal later.
    writeSync(fd.number, new Uint8Array(bytes));
  }
  // Nobody else can write in this directory, and so shrink it.
  return new Mapping(fd, { size: bytes, unsealed: true });
}
