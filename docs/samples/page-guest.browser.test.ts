import { expect, test } from "vitest";
import { pingInAPage } from "./page-guest.ts";

test("the guest of a page in a browser", async () => {
  // #region call
  const wasm = new URL("../node_modules/v86/build/v86.wasm", import.meta.url);
  const said = await pingInAPage(fetch(wasm));
  // #endregion call
  expect(said).toContain("ping 2: answered");
  expect(said).toMatch(/status 0$/);
});
