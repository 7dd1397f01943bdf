/** A file whose default export is a device. It is somebody's code: whatever it does wrong is told in a line that names it. @module */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { VirtioPlugin } from "@virtspace/virtio";

/** What is wrong with such a file. */
export type PluginFileErrorCode =
  /** There is no such file, or it exports no device. */
  | "no-device"
  /** It threw. */
  | "failed";

/** Why a file gives no device: for the command line to say. */
export class PluginFileError extends Error {
  override readonly name = "PluginFileError";
  readonly code: PluginFileErrorCode;

  /** @param message - what is wrong, after the file's name */
  constructor(code: PluginFileErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Loads a file's device: its default export is what `defineDevice` returns, or a function that returns that.
 *
 * @throws {@link PluginFileError}
 */
export async function pluginIn(file: string): Promise<VirtioPlugin> {
  const exported = await load(file);
  if (exported === undefined) throw new PluginFileError("no-device", `${file} has no default export: write ${REMEDY}`);
  const plugin = typeof exported === "function" ? await call(file, exported as () => unknown) : exported;
  if (!isPlugin(plugin)) throw new PluginFileError("no-device", `what ${file} exports is no virtio device: write ${REMEDY}`);
  return plugin;
}

const REMEDY = "export default defineDevice({ ... })";

async function load(file: string): Promise<unknown> {
  const path = resolve(file);
  if (!existsSync(path)) throw new PluginFileError("no-device", `there is no file ${file}: name one that exports a device, or "net"`);
  try {
    return ((await import(pathToFileURL(path).href)) as { readonly default?: unknown }).default;
  } catch (cause) {
    throw new PluginFileError("failed", `${file} can't be loaded: ${firstLine(cause)}`, { cause });
  }
}

async function call(file: string, make: () => unknown): Promise<unknown> {
  try {
    return await make();
  } catch (cause) {
    throw new PluginFileError("failed", `${file} failed to make its device: ${firstLine(cause)}`, { cause });
  }
}

function isPlugin(value: unknown): value is VirtioPlugin {
  if (typeof value !== "object" || value === null) return false;
  const { bus, name, create } = value as Partial<Record<string, unknown>>;
  return bus === "virtio" && typeof name === "string" && typeof create === "function";
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0] ?? "";
}
