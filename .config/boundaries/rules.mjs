/**
 * Who may import whom: the rule that makes virtspace what it is, for dependency-cruiser.
 *
 * A device never imports a hypervisor and a hypervisor never imports a device; neutral packages know no host. The
 * compiler proves the second half for globals (`types: []`, no DOM library), pnpm's isolation proves that nobody
 * imports what he does not declare, and this proves that nobody declares what he must not.
 */

/** Which packages of ours a package may import; `any` is all of them. */
export const MAY_IMPORT = {
  "virt-address-space": [],
  hypervisor: ["virt-address-space"],
  virtio: ["virt-address-space"],
  network: [],
  "virtio-net": ["virt-address-space", "virtio", "network"],
  vbus: ["virt-address-space", "network"],
  "pc-platform": ["virt-address-space", "hypervisor"],
  "host-linux": ["virt-address-space", "network"],
  "kvm-core": ["virt-address-space", "hypervisor", "host-linux"],
  "v86-core": ["virt-address-space", "hypervisor"],
  "vhost-user": ["virt-address-space", "virtio", "host-linux"],
  composition: "any",
  conformance: ["virt-address-space", "hypervisor", "virtio", "network", "virtio-net", "vbus", "pc-platform"],
  // What the command serves over vhost-user it still puts together by itself.
  cli: [
    "virt-address-space",
    "composition",
    "network",
    "virtio",
    "virtio-net",
    "host-linux",
    "hypervisor",
    "kvm-core",
    "pc-platform",
    "v86-core",
    "vbus",
    "vhost-user",
  ],
};

export const NEUTRAL = ["virt-address-space", "hypervisor", "virtio", "network", "virtio-net", "vbus", "pc-platform"];

/** Files that are never published: they may use the suites, and whatever a test needs. */
const UNPUBLISHED = "\\.(test|test-d|bench|worker|process)\\.ts$|-scenarios\\.ts$";

const inPackages = (names) => `^packages/(${names.join("|")})/`;
const sourceOf = (names) => ({ path: `${inPackages(names)}src/`, pathNot: UNPUBLISHED });

const packageRules = Object.entries(MAY_IMPORT)
  .filter(([, may]) => may !== "any")
  .map(([name, may]) => ({
    name: `what-${name}-may-import`,
    severity: "error",
    comment: `${name} may import ${may.length === 0 ? "no package of ours" : may.join(", ")}.`,
    from: sourceOf([name]),
    to: { path: "^packages/", pathNot: inPackages([name, ...may]) },
  }));

export default {
  forbidden: [
    ...packageRules,
    {
      name: "neutral-packages-know-no-host",
      severity: "error",
      comment: "A neutral package runs in Node, in a worker and in a browser: no module of Node, no library.",
      from: sourceOf(NEUTRAL),
      to: { dependencyTypes: ["core", "npm", "npm-dev", "npm-optional", "npm-peer", "npm-no-pkg"], pathNot: "^packages/" },
    },
    {
      name: "the-embedded-engine-knows-node-in-one-file",
      severity: "error",
      comment: "v86-core runs in a browser as it does in Node: only what reads the engine's file may differ.",
      from: { ...sourceOf(["v86-core"]), pathNot: `${UNPUBLISHED}|/engine-file-node\\.ts$` },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "packages-are-in-the-table",
      severity: "error",
      comment: "Each package has its line in this file's table.",
      from: { path: "^packages/([^/]+)/src/", pathNot: inPackages(Object.keys(MAY_IMPORT)) },
      to: {},
    },
    {
      name: "packages-import-each-other-by-name",
      severity: "error",
      comment: "Another package's files are reached through its entries, not by a path. Guests' images have one that needs no vitest.",
      from: { path: "^packages/([^/]+)/src/" },
      to: { path: "^packages/", pathNot: "^packages/($1/|[^/]+/src/index\\.ts$|conformance/src/guest/guest-image\\.ts$)" },
    },
    {
      name: "no-unpublished-in-published",
      severity: "error",
      comment: "What is published never imports a test, a benchmark or a worker of one.",
      from: { path: "^packages/[^/]+/src/", pathNot: UNPUBLISHED },
      to: { path: UNPUBLISHED },
    },
    { name: "no-unresolved", severity: "error", comment: "Each import is declared and there.", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-circles",
      severity: "error",
      comment: "Files that need each other to run are one file, or badly cut.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
  ],
  options: {
    doNotFollow: { path: "(^|/)(node_modules|dist)/" },
    exclude: { path: "(^|/)dist/" },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "default"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
