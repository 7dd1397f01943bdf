/** The page of errors has each code of each package's error class, and no other. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(import.meta.dirname, "errors.md"), "utf8");
const sources = globSync("packages/*/src/**/*.ts", { cwd: root })
  .filter((file) => !/\.(test|test-d|bench)\.ts$/.test(file))
  .map((file) => readFileSync(join(root, file), "utf8"));

/** What a union of codes has, by its type's name without `Code`. */
const unions = new Map(
  sources.flatMap((source) =>
    Array.from(source.matchAll(/^export type (\w+(?:Error|Fault))Code =([^;]+);/gm), ([, name = "", union = ""]): [string, string[]] => [
      name,
      Array.from(union.matchAll(/"([a-z-]+)"/g), ([, code = ""]) => code).toSorted(),
    ]),
  ),
);
/** What a user of the packages can meet. */
const exported = new Set(
  globSync("packages/*/src/index.ts", { cwd: root }).flatMap(
    (file) => readFileSync(join(root, file), "utf8").match(/\w+(?:Error|Fault)\b/g) ?? [],
  ),
);
const sections = new Map(page.split(/^## /m).map((section): [string, string] => [section.slice(0, section.indexOf("\n")), section]));
const rows = (section: string): string[] => Array.from(section.matchAll(/^\| `([a-z-]+)`/gm), ([, code = ""]) => code).toSorted();

test("there are packages with errors, and the codes of some are seen", () => {
  expect(unions.size).toBeGreaterThan(9);
  expect(unions.get("KvmError")).toContain("not-present");
});

// What a window's address has wrong is told beside the errors of its package, with a star.
test.each([...unions].filter(([name]) => exported.has(name) && name !== "AccessFault"))(
  "each code of %s is there, and no other",
  (name, codes) => {
    expect(rows(sections.get(name) ?? "")).toEqual(codes);
  },
);

test("the codes with a star are those of AccessFault", () => {
  const starred = Array.from(page.matchAll(/^\| `([a-z-]+)` \\\*/gm), ([, code]) => code).toSorted();
  expect(starred).toEqual(unions.get("AccessFault"));
});

test("no class is there that no package has", () => {
  const titles = [...sections.keys()].filter((title) => /^\w+(Error|Fault)$/.test(title));
  expect(titles.filter((title) => !unions.has(title))).toEqual([]);
});
