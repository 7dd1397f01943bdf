/** Where a Chromium is: Debian's, or whatever CHROMIUM names. @module */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** @returns its path; undefined where there is none */
export function findChromium(): string | undefined {
  const named = process.env["CHROMIUM"];
  const places = (process.env["PATH"] ?? "").split(delimiter);
  const candidates =
    named === undefined
      ? ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => places.map((place) => join(place, name)))
      : [named];
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
