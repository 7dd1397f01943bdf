/** The engine in Node, by the suite that every hypervisor passes. */
import { hypervisorSuite } from "@virtspace/conformance";
import { openV86 } from "./index.ts";

hypervisorSuite({ name: "v86", open: () => openV86() });
