import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

test("the page of errors has each code of the package, and no other", () => {
  const source = join(import.meta.dirname, "../../packages/virt-address-space/src/error/virt-address-space-error.ts");
  const union = /type VirtAddressSpaceErrorCode =([^;]+);/.exec(readFileSync(source, "utf8"))?.[1] ?? "";
  const codes = Array.from(union.matchAll(/"([a-z-]+)"/g), ([, code]) => code);
  const page = readFileSync(join(import.meta.dirname, "errors.md"), "utf8");
  const rows = Array.from(page.matchAll(/^\| `([a-z-]+)`/gm), ([, code]) => code);
  expect(rows.toSorted()).toEqual(codes.toSorted());
});
