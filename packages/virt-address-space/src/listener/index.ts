export type { AddressSpaceListener } from "./address-space-listener.ts";
