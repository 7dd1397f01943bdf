import { expect, test } from "vitest";
import { keepFigures } from "./kept-figures.ts";

const page = (day: string, ...tables: string[]): string => `# Figures\n\nTaken on ${day} by one run.\n\n${tables.join("\n\n")}\n`;
const measured = "### Exits of KVM\n\n| exit | 7 ns |";
const missing = "### Exits of KVM\n\n| not measured: there is no /dev/kvm |";

test("a table that could not be taken is the last that could, with its day; all others are new", () => {
  const first = page("2026-11-24", "### Rings\n\n| 1 ns |", measured);
  const second = keepFigures(page("2026-11-25", "### Rings\n\n| 2 ns |", missing), first);
  const kept = `${measured}\n\nOf 2026-11-24: the machine of the other figures could not take all of these.`;
  expect(second).toBe(`### Rings\n\n| 2 ns |\n\n${kept}`);
  // Tables alone are what a run prints.
  expect(keepFigures(`### Rings\n\n| 2 ns |\n\n${missing}`, first)).toBe(second);
  // It stays, and stays of that day.
  expect(keepFigures(page("2026-11-26", missing), page("2026-11-25", second))).toBe(kept);
  expect(keepFigures(page("2026-11-26", measured), page("2026-11-25", second))).toBe(measured);
  expect(keepFigures(page("2026-11-26", missing), page("2026-11-25", "### Rings\n\n| 2 ns |"))).toBe(missing);
});
