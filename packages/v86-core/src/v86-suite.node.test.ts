/** The engine in Node, by the suite that every hypervisor passes. */
import { hypervisorSuite } from "@virtspace/conformance";
import { openV86 } from "./index.ts";

// ltr ax, with a null selector: the engine has no code for that.
hypervisorSuite({ name: "v86", open: () => openV86(), notEmulated: Uint8Array.of(0x0f, 0x00, 0xd8) });
