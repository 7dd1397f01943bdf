export { AccessFault, type AccessFaultCode } from "./access-fault.ts";
export type { GuestRange } from "./copy-access.ts";
export { MemoryAccess } from "./memory-access.ts";
