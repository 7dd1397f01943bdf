/**
 * What a small PC needs around a vCPU.
 *
 * @packageDocumentation
 */
export { type AcpiOptions, type AcpiVirtioDevice, writeAcpiTables } from "./acpi/acpi-tables.ts";
export { type FlatPlace, loadFlat } from "./boot/flat.ts";
export { type LinuxOptions, loadLinux } from "./boot/linux.ts";
export { loadMultiboot, type MultibootModule, type MultibootOptions } from "./boot/multiboot.ts";
export { CMOS, Cmos, type CmosOptions, type CmosState } from "./clock/cmos.ts";
export { PcPlatformError, type PcPlatformErrorCode } from "./error/pc-platform-error.ts";
export { EXIT_PORT, ExitPort, type ExitPortOptions } from "./exit/exit-port.ts";
export { defaultPcHost, type PcHost } from "./host/host.ts";
export { AcpiPower, type AcpiPowerOptions, type AcpiPowerState, POWER } from "./power/acpi-power.ts";
export { RESET, ResetPorts, type ResetPortsOptions } from "./power/reset-ports.ts";
export { PIT_IRQ, Pit, type PitOptions, type PitState } from "./timer/pit.ts";
export type { PitChannelState } from "./timer/pit-channel.ts";
export { consoleLines } from "./uart/console-lines.ts";
export { COM1, Uart, type UartOptions, type UartState } from "./uart/uart.ts";
