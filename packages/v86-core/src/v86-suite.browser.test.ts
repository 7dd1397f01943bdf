/** The engine in a browser, by the suite that every hypervisor passes. */
import { hypervisorSuite } from "@virtspace/conformance";
import { expect, test } from "vitest";
import { openV86 } from "./index.ts";

const wasm = new URL("../node_modules/v86/build/v86.wasm", import.meta.url);

hypervisorSuite({ name: "v86 in a browser", open: () => openV86({ wasm: fetch(wasm) }), notEmulated: Uint8Array.of(0x0f, 0x00, 0xd8) });

test("a page that doesn't say where the engine is is told to", async () => {
  await expect(openV86()).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("fetch(url)") });
  await expect(openV86({ wasm: fetch("/there/is/none.wasm") })).rejects.toMatchObject({ code: "unavailable" });
});
