import { expect, test } from "vitest";
import { consoleLines } from "../index.ts";

test("bytes come as lines, without their ends; one without end comes in pieces", () => {
  const lines: string[] = [];
  const put = consoleLines((line) => lines.push(line));
  for (const byte of [..."hello\r\n\nworld"].map((character) => character.charCodeAt(0))) put(byte);
  expect(lines).toEqual(["hello", ""]);
  for (let i = 0; i < 10_000; i++) put(120);
  expect(lines.slice(2).map((line) => line.length)).toEqual([4096, 4096]);
  put(10);
  expect(lines.at(-1)).toHaveLength(10_005 - 2 * 4096);
});
