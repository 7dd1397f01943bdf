export type { Doorbell, DoorbellSpec } from "./doorbell.ts";
