/**
 * Debian's packages, by apt: programs that must be installed, and files of packages that must not be (a kernel that nobody boots
 * here, a shell for another machine). What can't be had ends in an error that says what to do about it.
 */
import { execFile } from "node:child_process";
import { access, constants, mkdtemp, readdir, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const REMEDY =
  "The guests need a Debian on amd64 with its package lists there; a container of it will do. Without one, run the other tests.";

/** One package, in the version that apt would install. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** What its control file says it depends on, as written there. */
  readonly depends: string;
}

async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const { stdout } = await promisify(execFile)(command, args, { cwd, env, timeout: 600_000, maxBuffer: 1 << 26 });
  return stdout;
}

async function isThere(program: string): Promise<boolean> {
  const places = (process.env["PATH"] ?? "").split(delimiter).map((place) => access(join(place, program), constants.X_OK));
  return (await Promise.allSettled(places)).some(({ status }) => status === "fulfilled");
}

/** Does what needs package lists; when it fails, they may be missing or old: once more with new ones. */
async function withLists<T>(what: string, act: () => Promise<T>): Promise<T> {
  if (!(await isThere("apt-get"))) throw new Error(`${what}: there is no apt-get here. ${REMEDY}`);
  try {
    return await act();
  } catch (first) {
    try {
      await run("apt-get", ["update", "-q"]);
      return await act();
    } catch (cause) {
      const root = process.getuid?.() === 0 ? "" : " Only root may renew the package lists: as root, do `apt-get update`.";
      const words = [first, cause].map((error) => (error instanceof Error ? error.message.trim() : String(error)));
      throw new Error(`${what}: apt can't.${root} ${REMEDY}\n${words.join("\n")}`, { cause });
    }
  }
}

/** Sees to it that a program is there, and installs a package if it is not. */
export async function ensureProgram(program: string, packageName: string): Promise<void> {
  if (await isThere(program)) return;
  if ((await isThere("apt-get")) && process.getuid?.() !== 0) {
    throw new Error(`${program} is not installed, and only root may install it: as root, do \`apt-get install ${packageName}\`.`);
  }
  await withLists(`install ${packageName}`, () =>
    run("apt-get", ["install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", packageName]),
  );
}

/** What apt would install under some names, in their order. */
export function candidates(names: readonly string[]): Promise<Package[]> {
  return withLists(`find ${names.join(", ")}`, async () => {
    const shown = (await run("apt-cache", ["show", "--no-all-versions", ...names])).split("\n\n");
    return names.map((name) => {
      const field = (key: string, text: string): string => new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1] ?? "";
      const text = shown.find((paragraph) => field("Package", paragraph) === name);
      if (text === undefined) throw new Error(`apt knows no package ${name}`);
      return { name, version: field("Version", text), depends: field("Depends", text) };
    });
  });
}

/** Downloads packages and puts their files into a folder. Nothing is installed. */
export async function unpack(packages: readonly Package[], folder: string): Promise<void> {
  const place = await mkdtemp(join(folder, "packages-"));
  const wanted = packages.map(({ name, version }) => `${name}=${version}`);
  await withLists(`download ${wanted.join(", ")}`, () => run("apt-get", ["download", "-q", ...wanted], place));
  for (const file of await readdir(place)) await run("dpkg-deb", ["-x", join(place, file), folder]);
  await rm(place, { recursive: true });
}
