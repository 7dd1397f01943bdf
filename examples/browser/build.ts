/** Bundles the page into two files: `node examples/browser/build.ts [FOLDER]`, into `dist` beside this file unless another is given. */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const [folder = join(here, "dist")] = process.argv.slice(2);

mkdirSync(folder, { recursive: true });
await build({
  entryPoints: [join(here, "page.ts")],
  bundle: true,
  minify: true,
  // A classic script: a browser takes no module from a file that was opened without a server.
  format: "iife",
  target: "es2022", // `using` is for newer browsers than there are everywhere
  loader: { ".wasm": "binary" },
  outdir: folder,
  logLevel: "warning",
});
copyFileSync(join(here, "index.html"), join(folder, "index.html"));
console.log(`open ${join(folder, "index.html")}, or have any server of files serve ${folder}`);
