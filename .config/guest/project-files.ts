/**
 * The project's packages as files of a guest: sources and what they need of others, with Node, so that a guest runs them as they are.
 * The folders are those of the repository, since links between packages lead from one to the other.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative } from "node:path";
import { type CpioEntry, file, folder, link } from "./cpio.ts";

const ROOT = join(import.meta.dirname, "../..");
const NODE = "node_modules/node/bin/node";
/** Neither needed to run, nor small. What others built is what they are; what we build is made of the sources that are there. */
const LEFT_OUT = new Set(["node_modules", "docs", "musl_x64"]);
const LEFT_OUT_OF_OURS = new Set(["dist"]);
const LEFT_OUT_FILES = /\.(map|d\.[cm]?ts|test\.ts)$/;

/** Where the project is in the guest. */
export const PROJECT_IN_GUEST = "opt/virtspace";

/** What a guest has of the project. */
export interface ProjectParts {
  /** Packages by their folders' names, with what they need. */
  readonly packages: readonly string[];
  /** Examples likewise. */
  readonly examples?: readonly string[];
  /** Packages of ours that those of `packages` need for their tests. */
  readonly forTests?: readonly string[];
  /** Other files, from the root of the repository: tests, and what they import. */
  readonly files?: readonly string[];
}

/** Node as `bin/node`, and parts of the project below {@link PROJECT_IN_GUEST}. */
export function projectFiles({ packages, examples = [], forTests = [], files = [] }: ProjectParts): CpioEntry[] {
  const collector = new Collector();
  collector.add(join(ROOT, "package.json"));
  for (const name of packages) {
    const place = join(ROOT, "packages", name);
    collector.addPackage(place);
    for (const needed of forTests) collector.addNeeded(place, needed);
  }
  for (const name of examples) collector.addPackage(join(ROOT, "examples", name));
  for (const path of files) collector.add(join(ROOT, path));
  return [...collector.entries, file("bin/node", readFileSync(realpathSync(join(ROOT, NODE))))];
}

/**
 * An emulated processor needs ten seconds to strip the types of a hundred files: here they are stripped before. What names a file of
 * types by its ending names the other then.
 */
function asJavaScript(path: string, bytes: Buffer): CpioEntry {
  const renamed = (text: string): string => text.replaceAll(/(?<=["'`]\.[^"'`\n]*)\.ts(?=["'`])/g, ".js");
  if (path.endsWith("/package.json")) return file(path, renamed(bytes.toString()));
  if (!path.endsWith(".ts") || path.endsWith(".d.ts")) return file(path, bytes);
  return file(path.replace(/\.ts$/, ".js"), renamed(stripTypeScriptTypes(bytes.toString())));
}

const isOurs = (place: string): boolean => !place.includes("node_modules");

class Collector {
  readonly #entries = new Map<string, CpioEntry>();
  readonly #packages = new Set<string>();

  get entries(): CpioEntry[] {
    return [...this.#entries.values()];
  }

  /** A package's own files, and the packages that it needs when it runs. */
  addPackage(place: string): void {
    if (this.#packages.has(place)) return;
    this.#packages.add(place);
    this.#addTree(place);
    const {
      dependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
    } = JSON.parse(readFileSync(join(place, "package.json"), "utf8")) as {
      readonly dependencies?: Readonly<Record<string, string>>;
      readonly optionalDependencies?: Readonly<Record<string, string>>;
      readonly peerDependencies?: Readonly<Record<string, string>>;
    };
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) this.addNeeded(place, name);
  }

  /** One file, link or folder, with the folders that it is in. */
  add(path: string): void {
    const inside = this.#inside(path);
    if (this.#entries.has(inside)) return;
    if (path === ROOT) {
      for (const [i, character] of [...inside].entries()) if (character === "/") this.#put(folder(inside.slice(0, i)));
    } else this.add(dirname(path));
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) this.#put(link(inside, readlinkSync(path)));
    else if (stat.isDirectory()) this.#put(folder(inside));
    else this.#put(asJavaScript(inside, readFileSync(path)));
  }

  #put(entry: CpioEntry): void {
    if (!this.#entries.has(entry.path)) this.#entries.set(entry.path, entry);
  }

  #addTree(place: string): void {
    for (const { name, parentPath } of readdirSync(place, { withFileTypes: true })) {
      const path = join(parentPath, name);
      if (LEFT_OUT.has(name) || LEFT_OUT_FILES.test(name) || (isOurs(place) && LEFT_OUT_OF_OURS.has(name))) continue;
      if (lstatSync(path).isDirectory()) this.#addTree(path);
      else this.add(path);
    }
  }

  /** A package that another needs: a link in its own folder, or, of a library's, beside the library. */
  addNeeded(place: string, name: string): void {
    for (let at = place; at !== ROOT; at = dirname(at)) {
      const found = join(at, "node_modules", name);
      if (!existsSync(found)) continue;
      this.add(found);
      this.addPackage(realpathSync(found));
      return;
    }
    // An optional one that is for another machine.
  }

  #inside(path: string): string {
    return join(PROJECT_IN_GUEST, relative(ROOT, path));
  }
}
