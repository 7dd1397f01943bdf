import { expect, test } from "vitest";
import { pingInAPage } from "./page-guest.ts";

test("the guest of a page in Node", async () => {
  const said = await pingInAPage();
  expect(said).toContain("ping 2: answered");
  expect(said).toMatch(/status 0$/);
});
