/** The live page in a real Chromium: served as plain files, and opened as one. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { findChromium } from "../../.config/chromium/chromium.ts";
import { bundleLivePage } from "./build.ts";

const executablePath = findChromium();
const run = test.skipIf(executablePath === undefined);
const reason = executablePath === undefined ? " (not run: there is no Chromium here)" : "";
const KINDS: Readonly<Record<string, string>> = { html: "text/html", css: "text/css", js: "text/javascript" };

let folder: string;
let server: Server;
let browser: Browser | undefined;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "live-"));
  await bundleLivePage(folder);
  server = createServer((request, response) => {
    const name = request.url === "/" ? "index.html" : (request.url ?? "").slice(1);
    readFile(join(folder, name)).then(
      (bytes) => response.writeHead(200, { "content-type": KINDS[name.split(".").at(-1) ?? ""] ?? "text/plain" }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  if (executablePath !== undefined) browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});
afterAll(async () => {
  await browser?.close();
  server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  complaints = [];
  if (browser === undefined) return;
  page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => complaints.push(request.url()));
});
afterEach(async () => {
  if (browser === undefined) return;
  await page.close();
  expect(complaints).toEqual([]);
});

const text = (id: string): Promise<string> =>
  page
    .locator(`#${id}`)
    .textContent()
    .then((found) => found ?? "");
const position = (ring: string, what: string): Promise<number> =>
  page.locator(`[data-ring=${ring}]`).getAttribute(`data-${what}`).then(Number);

async function open(): Promise<void> {
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

async function keep(name: string): Promise<void> {
  const place = process.env["VIRTSPACE_ARTEFACTS"];
  if (place === undefined) return;
  mkdirSync(place, { recursive: true });
  await page.screenshot({ path: join(place, `${name}.png`), fullPage: true });
}

run(`the guest boots, gets its lease and pings, and all of it is drawn${reason}`, async () => {
  await open();
  await page.locator("#fast").click();
  await expect.poll(() => text("console"), { timeout: 20_000 }).toContain("ping 8: answered");
  expect(await text("console")).toContain("lease: 10.0.2.15, gateway 10.0.2.2");
  expect(await page.locator("#map tr").evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset["region"]))).toEqual([
    "ram",
    "spare",
    "net",
  ]);
  expect(await page.locator("#holders li").allTextContents()).toEqual(["its creator", "v86", "net"]);
  await expect.poll(() => position("transmit", "used")).toBeGreaterThan(100);
  await page.locator("#pause").click();
  await expect.poll(() => text("state")).toBe("standing still");
  await expect.poll(() => page.locator("#frames li").count()).toBeGreaterThan(100);
  expect(await page.locator("#frames li").first().textContent()).toMatch(/UDP to port \d+, \d+ bytes/);
  expect(await page.locator("#rings path.posted").count()).toBeGreaterThan(0);
  await keep("live-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await keep("live-dark");
});

run(`a pause stops all, a step moves it on by what goes over the wire, and no more${reason}`, async () => {
  await open();
  await page.locator("#pause").click();
  await expect.poll(() => text("state")).toBe("standing still");
  const wire = async (): Promise<number> => Number(await text("total"));
  // The guest has to come as far as its card first.
  for (let i = 0; i < 40 && (await wire()) === 0; i++) {
    await page.locator("#step").click();
    await page.waitForTimeout(120);
  }
  const before = await wire();
  expect(before).toBeGreaterThan(0);
  await page.waitForTimeout(500);
  expect(await wire()).toBe(before);
  for (let i = 0; i < 4; i++) {
    const now = await wire();
    await page.locator("#step").click();
    await expect.poll(wire).toBeGreaterThan(now);
    await page.waitForTimeout(150);
    const after = await wire();
    await page.waitForTimeout(300);
    expect(await wire()).toBe(after);
  }
});

run(`slow motion goes on by itself, and a machine starts anew${reason}`, async () => {
  await open();
  await expect.poll(() => text("console"), { timeout: 20_000 }).toContain("lease: 10.0.2.15");
  await page.locator("#again").click();
  await expect.poll(() => text("console")).not.toContain("lease");
  await expect.poll(() => text("console"), { timeout: 20_000 }).toContain("lease: 10.0.2.15");
});

run(`what is unmapped is gone from the map, listeners are told, and the rings with the memory${reason}`, async () => {
  await open();
  await page.locator("#fast").click();
  await expect.poll(() => position("receive", "available")).toBeGreaterThan(0);
  const generation = Number(await text("generation"));
  await page.getByRole("button", { name: "unmap spare" }).click();
  await expect.poll(() => text("generation")).toBe(`${generation + 1}`);
  expect(await text("log")).toContain(`generation ${generation + 1}: spare was unmapped`);
  expect(await text("console")).toContain("virtio-net");
  await page.getByRole("button", { name: "unmap ram" }).click();
  await expect.poll(() => page.locator('[data-region="ram"]').count()).toBe(0);
  await expect.poll(() => page.locator("#rings .gone").count()).toBe(2);
  await expect.poll(() => text("state")).toMatch(/^the machine ended: /);
});

run(`a phone shows it without scrolling sideways${reason}`, async () => {
  await page.setViewportSize({ width: 390, height: 800 });
  await open();
  await expect.poll(() => text("console"), { timeout: 20_000 }).toContain("lease");
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  await keep("live-phone");
});

run(`it needs no server: a file opens as well${reason}`, async () => {
  await page.goto(pathToFileURL(join(folder, "index.html")).href);
  await expect.poll(() => text("console"), { timeout: 20_000 }).toContain("lease: 10.0.2.15");
});
