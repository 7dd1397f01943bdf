/** The packages of the project and who may import whom, read from the rules that CI enforces and from the packages themselves. */
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "../..");
const SCOPE = "@virtspace/";

/** A package. */
export interface PackageNode {
  /** Its name, without the scope. */
  readonly name: string;
  /** In a line. */
  readonly description: string;
  /** Whether it runs in Node, in a worker and in a browser alike. */
  readonly neutral: boolean;
  /** The packages of ours that its package.json has as dependencies. */
  readonly imports: readonly string[];
  /** Those that the rules allow. */
  readonly mayImport: readonly string[];
}

interface Rules {
  readonly MAY_IMPORT: Readonly<Record<string, readonly string[] | "any">>;
  readonly NEUTRAL: readonly string[];
}

/** Reads them. */
export async function packageGraph(): Promise<readonly PackageNode[]> {
  const { MAY_IMPORT, NEUTRAL } = (await import(pathToFileURL(join(root, ".config/boundaries/rules.mjs")).href)) as Rules;
  const folders = globSync("packages/*/package.json", { cwd: root });
  const names = folders.map((file) => basename(dirname(file))).toSorted();
  return names.map((name) => {
    const { description, dependencies = {} } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8")) as {
      readonly description: string;
      readonly dependencies?: Readonly<Record<string, string>>;
    };
    const may = MAY_IMPORT[name] ?? [];
    return {
      ...{ name, description, neutral: NEUTRAL.includes(name) },
      imports: Object.keys(dependencies).flatMap((each) => (each.startsWith(SCOPE) ? [each.slice(SCOPE.length)] : [])),
      mayImport: may === "any" ? names.filter((each) => each !== name) : may,
    };
  });
}
