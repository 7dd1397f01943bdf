/** Bundles the live page: `node docs/live/build.ts` puts it into the site, `bundleLivePage(folder)` anywhere. @module */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;

/** Writes the page as three files that need no server. */
export async function bundleLivePage(folder: string): Promise<void> {
  await build({
    entryPoints: [join(here, "live-page.ts")],
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    target: "es2022",
    loader: { ".wasm": "binary" },
    outdir: folder,
    logLevel: "warning",
  });
  for (const file of ["index.html", "live.css"]) cpSync(join(here, file), join(folder, file));
}

if (import.meta.main) await bundleLivePage(join(here, "../site/live"));
