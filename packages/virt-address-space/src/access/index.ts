export { AccessFault, type AccessFaultCode } from "./access-fault.ts";
export type { GuestRange } from "./copy-access.ts";
export type { SpaceFault } from "./io-dispatch.ts";
export { MemoryAccess } from "./memory-access.ts";
