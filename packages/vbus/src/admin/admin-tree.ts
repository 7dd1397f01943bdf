/** A tree of folders and attributes, and how it is drawn. @module */

/** A folder, or an attribute's value. */
export type TreeNode = string | TreeFolder;

/** A folder. */
export interface TreeFolder {
  readonly [name: string]: TreeNode;
}

/** Draws a folder's content, a line each. */
export function drawTree(folder: TreeFolder, indent = ""): string {
  const entries = Object.entries(folder);
  return entries
    .map(([name, node], index) => {
      const last = index === entries.length - 1;
      const line = `${indent}${last ? "└" : "├"}─ ${name}`;
      if (typeof node === "string") return `${line}${node.startsWith("->") ? ` ${node}` : `: ${node}`}\n`;
      return `${line}\n${drawTree(node, `${indent}${last ? "   " : "│  "}`)}`;
    })
    .join("");
}
