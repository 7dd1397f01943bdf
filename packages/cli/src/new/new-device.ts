/** `virtspace new device NAME`: a package with a device that works, and passes its own tests, for an author to go on from. @module */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What may carry a device. */
export const BUSES = ["virtio", "vbus"] as const;

/** Why nothing was written: for the command line to say. */
export class NewDeviceError extends Error {
  override readonly name = "NewDeviceError";
  readonly code: "bad-name" | "folder-in-use";

  constructor(code: "bad-name" | "folder-in-use", message: string) {
    super(message);
    this.code = code;
  }
}

/** What is asked for. */
export interface NewDeviceOptions {
  /** What carries it. */
  readonly bus: (typeof BUSES)[number];
  /** Where it is written; a folder of the device's name unless given. */
  readonly folder?: string;
  /** The version of virtspace's packages. */
  readonly version: string;
}

/** A name is a package's, a device's and, on the virtual bus, that of an ABI. */
const NAME = /^[a-z][a-z0-9-]{0,63}$/;

// The same from `src/new` and from `dist/new`.
const TEMPLATES = fileURLToPath(new URL("../../templates/device/", import.meta.url));
const SUFFIX = ".template";

/**
 * Writes the package.
 *
 * @returns the folder, and its files by their paths in there
 * @throws {@link NewDeviceError}; what the file system says
 */
export function newDevice(name: string, { bus, folder = name, version }: NewDeviceOptions): { folder: string; files: readonly string[] } {
  if (!NAME.test(name))
    throw new NewDeviceError("bad-name", `"${name}" is no name for a device: give small letters, digits and hyphens, a letter first`);
  if (existsSync(folder) && (!statSync(folder).isDirectory() || readdirSync(folder).length > 0))
    throw new NewDeviceError("folder-in-use", `${folder} is there and not empty: name another one with --folder`);
  const values: Readonly<Record<string, string>> = { name, bus, version };
  const written = ["shared", bus].flatMap((flavour) => {
    const templates = join(TEMPLATES, flavour);
    const paths = readdirSync(templates, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(SUFFIX));
    return paths.map((path) => {
      const text = readFileSync(join(templates, path), "utf8").replaceAll(/\{\{(\w+)\}\}/g, (_, key: string) => values[key] ?? "");
      const file = path.slice(0, -SUFFIX.length);
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
      return file;
    });
  });
  return { folder, files: written.sort() };
}
