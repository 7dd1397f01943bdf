/** `virtspace new device NAME`: a package with a device that works, and passes its own tests, for an author to go on from. @module */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
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
  /** Where they lie as sources, in a clone of the project: the new package is linked to those. */
  readonly sources?: string | undefined;
}

/** What was written. */
export interface NewDevice {
  readonly folder: string;
  /** Its files, by their paths in there. */
  readonly files: readonly string[];
  /** What installs its packages, and runs its scripts. */
  readonly npm: string;
}

/** The packages that a device begins with, besides that of its bus. */
const PACKAGES = ["cli", "composition", "conformance", "virt-address-space"] as const;
/** Only this one links to sources without looking at what those want. */
const PNPM = "npx -y pnpm@12";

/** A name is a package's, a device's and, on the virtual bus, that of an ABI. */
const NAME = /^[a-z][a-z0-9-]{0,63}$/;

// The same from `src/new` and from `dist/new`.
const TEMPLATES = fileURLToPath(new URL("../../templates/device/", import.meta.url));
const SUFFIX = ".template";

/**
 * Writes the package.
 *
 * @throws {@link NewDeviceError}; what the file system says
 */
export function newDevice(name: string, { bus, folder = name, version, sources }: NewDeviceOptions): NewDevice {
  if (!NAME.test(name))
    throw new NewDeviceError("bad-name", `"${name}" is no name for a device: give small letters, digits and hyphens, a letter first`);
  if (existsSync(folder) && (!statSync(folder).isDirectory() || readdirSync(folder).length > 0))
    throw new NewDeviceError("folder-in-use", `${folder} is there and not empty: name another one with --folder`);
  const at = (each: string): string => (sources === undefined ? `^${version}` : `link:${relative(resolve(folder), join(sources, each))}`);
  const npm = sources === undefined ? "npm" : PNPM;
  const values: Readonly<Record<string, string>> = {
    ...{ name, bus, npm, npx: sources === undefined ? "npx" : `${PNPM} exec`, "at:bus": at(bus) },
    ...Object.fromEntries(PACKAGES.map((each) => [`at:${each}`, at(each)])),
  };
  const written = ["shared", bus, ...(sources === undefined ? [] : ["linked"])].flatMap((flavour) => {
    const templates = join(TEMPLATES, flavour);
    const paths = readdirSync(templates, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(SUFFIX));
    return paths.map((path) => {
      const text = readFileSync(join(templates, path), "utf8").replaceAll(/\{\{([\w:-]+)\}\}/g, (_, key: string) => values[key] ?? "");
      const file = path.slice(0, -SUFFIX.length);
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
      return file;
    });
  });
  return { folder, files: written.sort(), npm };
}
