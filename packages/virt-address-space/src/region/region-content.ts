/** Checks what an author asks to map, before anything is done. @module */
import { requireAddress, requireLength } from "../address/addresses.ts";
import { VirtAddressSpaceError } from "../error/virt-address-space-error.ts";
import { MemoryProvider } from "../memory/memory-provider.ts";
import { Region, type RegionContent, type RegionSpec } from "./region.ts";

function wrong(message: string): never {
  throw new VirtAddressSpaceError("invalid-argument", message);
}

/** Bytes of a part of a whole, checked; `part` may be left out, then it is all that follows `offset`. */
function sizeOfPart(name: string, offset: number, part: number | undefined, whole: number): number {
  requireLength(offset, 0, `the offset of region "${name}"`);
  const size = part ?? whole - offset;
  if (size < 1 || offset + size > whole) {
    throw new VirtAddressSpaceError(
      "out-of-bounds",
      `region "${name}" wants ${size} bytes at offset ${offset} of what has ${whole}: give a smaller size or offset`,
      { region: name, offset, size, available: whole },
    );
  }
  requireLength(size, 1, `the size of region "${name}"`);
  return size;
}

/**
 * The content of a region that was asked for.
 *
 * @param spaceSize - bytes that the space spans
 * @param mapped - whether a region is mapped in this space, or by this transaction
 */
export function regionContent(spec: RegionSpec, spaceSize: number, mapped: (region: Region) => boolean): RegionContent {
  const { name, base, priority = 0 } = spec;
  if (typeof name !== "string" || name === "") wrong("a region needs a name: errors and maps show it");
  requireAddress(base);
  if (!Number.isSafeInteger(priority)) wrong(`region "${name}" has priority ${priority}: give an integer`);

  const content = contentOf(spec, name, priority, mapped);
  const end = base + content.size;
  if (end > spaceSize) {
    throw new VirtAddressSpaceError(
      "out-of-bounds",
      `region "${name}" ends at 0x${end.toString(16)}, past the space's end at 0x${spaceSize.toString(16)}`,
      { region: name, base, size: content.size, spaceSize },
    );
  }
  return content;
}

/** Aliases that may stand behind each other. */
export const MAX_ALIAS_DEPTH = 64;

function aliasDepth(region: Region): number {
  let depth = 0;
  for (let at: Region | undefined = region.target; at !== undefined; at = at.target) depth++;
  return depth;
}

function contentOf(spec: RegionSpec, name: string, priority: number, mapped: (region: Region) => boolean): RegionContent {
  if (spec.kind === "io") {
    requireLength(spec.size, 1, `the size of region "${name}"`);
    const { handler } = spec;
    if (typeof handler?.read !== "function" || typeof handler.write !== "function") {
      wrong(`the I/O window "${name}" needs a handler with read(offset, size) and write(offset, size, value)`);
    }
    return { name, kind: "io", size: spec.size, priority, offset: 0, handler };
  }
  if (spec.kind === "alias") {
    const { target, offset = 0, readOnly = false } = spec;
    if (!(target instanceof Region) || !mapped(target)) {
      throw new VirtAddressSpaceError(
        "unknown-region",
        `the alias "${name}" has a target that is not mapped in this space: map the target first, or in the same transaction`,
        {
          region: name,
        },
      );
    }
    if (aliasDepth(target) >= MAX_ALIAS_DEPTH) {
      wrong(`the alias "${name}" would be the last of a chain of more than ${MAX_ALIAS_DEPTH}: alias the memory behind them`);
    }
    const size = sizeOfPart(name, offset, spec.size, target.size);
    return { name, kind: "alias", size, priority, offset, target, readOnly: readOnly || target.readOnly };
  }
  if (spec.kind !== undefined && spec.kind !== "ram" && spec.kind !== "rom") {
    wrong(`region "${name}" is of kind ${String((spec as { kind: unknown }).kind)}: give ram, rom, alias or io`);
  }
  const { memory, offset = 0, kind = "ram" } = spec;
  if (!(memory instanceof MemoryProvider)) {
    wrong(`region "${name}" needs memory: arrayBufferMemory(size), sharedMemory(size) or another MemoryProvider`);
  }
  if (memory.released) {
    throw new VirtAddressSpaceError("released", `region "${name}" is to show memory that was released: make a new one`, {
      region: name,
    });
  }
  return { name, kind, size: sizeOfPart(name, offset, spec.size, memory.size), priority, offset, memory };
}
