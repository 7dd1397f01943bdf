/**
 * Builds the guests' images, and writes them where the package has them: `node packages/conformance/guests/build.ts`. It needs
 * gcc that makes 32-bit code.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtImages } from "./built-images.ts";

const target = join(import.meta.dirname, "../src/guest/image-bytes.ts");
const lines = Object.entries(builtImages()).map(([name, bytes]) => {
  const text = bytes.toString("base64").replace(/.{1,120}/g, (line) => `    "${line}",\n`);
  return `  ${name}: [\n${text}  ],\n`;
});
writeFileSync(
  target,
  `/** The guests' images, in base64. Made by guests/build.ts from the sources there; don't edit. @module */

/** By name. */
export const IMAGE_BYTES = {
${lines.join("")}} as const;
`,
);
