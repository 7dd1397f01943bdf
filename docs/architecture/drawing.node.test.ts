import { describe, expect, test } from "vitest";
import { drawing, table } from "./drawing.ts";
import { BOX_WIDTH, direct, layOut } from "./layout.ts";
import { packageGraph } from "./package-graph.ts";

const packages = await packageGraph();

describe("what is drawn is what the code says", () => {
  test("each package has its box, and its row in the table", () => {
    const svg = drawing(packages);
    expect(packages.length).toBeGreaterThan(13);
    for (const { name } of packages) {
      expect(svg).toContain(`>${name}</text>`);
      expect(table(packages)).toContain(`| {@link @virtspace/${name}! ${name}} |`);
    }
    expect(svg).not.toMatch(/\n\n|NaN|undefined/);
  });

  test("nobody imports what the rules don't allow", () => {
    const wrong = packages.flatMap(({ name, imports, mayImport }) =>
      imports.filter((each) => !mayImport.includes(each)).map((each) => `${name} -> ${each}`),
    );
    expect(wrong).toEqual([]);
    expect(packages.find(({ name }) => name === "virt-address-space")).toMatchObject({ imports: [], mayImport: [], neutral: true });
  });

  test("whoever imports stands above, and what is there by way of another has no line", () => {
    const { rows } = layOut(packages);
    const rowOf = (name: string): number => rows.findIndex((row) => row.some((place) => place.name === name));
    for (const { name, imports } of packages) for (const each of imports) expect(rowOf(name)).toBeGreaterThan(rowOf(each));
    expect(direct(packages).get("virtio-net")).toEqual(expect.not.arrayContaining(["virt-address-space"]));
  });

  test("no box is upon another", () => {
    for (const row of layOut(packages).rows) {
      const at = row.filter(({ name }) => name !== undefined).map(({ x }) => x);
      for (const [i, x] of at.slice(1).entries()) expect(x - (at[i] as number)).toBeGreaterThanOrEqual(BOX_WIDTH);
    }
  });
});
