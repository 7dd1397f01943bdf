/** The page in a real Chromium, opened as a file. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright";
import { expect, test } from "vitest";
import { findChromium } from "../../.config/chromium/chromium.ts";

const executablePath = findChromium();

test("the guest of the page gets a lease, pings and leaves, and so does the next one", async ({ skip }) => {
  if (executablePath === undefined) return skip("there is no Chromium here");
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "page-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, "build.ts"), folder]);

  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  stack.defer(() => browser.close());
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => void complaints.push(message.text()));
  page.on("pageerror", (error) => void complaints.push(String(error)));
  page.on("requestfailed", (request) => void complaints.push(request.url()));
  const text = (id: string): Promise<string | null> => page.locator(`#${id}`).textContent();

  await page.goto(pathToFileURL(join(folder, "index.html")).href);
  for (let guests = 1; guests <= 2; guests++) {
    if (guests > 1) await page.locator("#again").click();
    await expect.poll(() => text("state"), { timeout: 10_000 }).toBe("left with status 0");
    expect((await text("console"))?.trimEnd().split("\n")).toEqual([
      "virtio-net at 0xd0000000, line 5, split rings, 52:54:00:12:34:56",
      "lease: 10.0.2.15, gateway 10.0.2.2",
      "gateway is at 52:55:0a:00:02:02",
      ...[1, 2, 3, 4].map((number) => `ping ${number}: answered`),
      "100 datagrams came back",
    ]);
    expect([await text("holders"), await text("pings")]).toEqual(["its creator, v86, net", "4"]);
  }
  expect(complaints).toEqual([]);
});
