/**
 * The samples of a README as a program. Blocks marked `ts` make up `main.ts`, in their order; one that begins with a file's
 * name (`// worker.ts`) is that file. A line `expression; // → value` says what the expression is worth.
 */

const BLOCK = /^```ts\n([\s\S]*?)^```$/gm;
const FILE = /^\/\/ (\S+\.ts)\n/;
const CLAIM = /^(\s*)(.+); \/\/ → (.+)$/gm;

/** Files by name. */
export type Program = ReadonlyMap<string, string>;

/** The samples as they stand. */
export function program(readme: string): Program {
  const files = new Map<string, string>();
  for (const [, code = ""] of readme.matchAll(BLOCK)) {
    const name = FILE.exec(code)?.[1] ?? "main.ts";
    files.set(name, (files.get(name) ?? "") + code);
  }
  return files;
}

/** The samples with each claim made an assertion, and a count of them at the end. */
export function checked(samples: Program): Program {
  let claims = 0;
  const assert = (code: string): string =>
    code.replace(CLAIM, (_, indent: string, expression: string, value: string) => {
      claims++;
      return `${indent}isDeepStrictEqual(${expression}, ${value}) || failed(${JSON.stringify(`${expression} is not ${value}`)});`;
    });
  const header = 'import { isDeepStrictEqual } from "node:util";\nconst failed = (claim: string): never => { throw new Error(claim); };\n';
  return new Map(
    [...samples].map(([name, code]) => {
      const body = assert(code);
      return [name, name === "main.ts" ? `${header}${body}console.log("${claims} claims hold");\n` : body];
    }),
  );
}
