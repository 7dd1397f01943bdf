/** The registers of a 16550A, and the bits in them. @see PC16550D data sheet, section 8 @module */

/** Registers by their offset. Some are two: one is read, the other written; and the first two are the divisor while DLAB is set. */
export const Register = {
  data: 0,
  interruptEnable: 1,
  interruptIdentity: 2,
  fifoControl: 2,
  lineControl: 3,
  modemControl: 4,
  lineStatus: 5,
  modemStatus: 6,
  scratch: 7,
} as const;

/** Which interrupts are let through. */
export const Enable = { received: 1, transmitterEmpty: 2, lineStatus: 4, modemStatus: 8 } as const;

/** Why there is an interrupt, the most urgent first. */
export const Identity = {
  lineStatus: 6,
  received: 4,
  timeout: 12,
  transmitterEmpty: 2,
  modemStatus: 0,
  none: 1,
  fifosEnabled: 0xc0,
} as const;

/** What the FIFOs are told. */
export const FifoControl = { enable: 1, clearReceiver: 2, clearTransmitter: 4 } as const;

/** The divisor is at the first two registers. */
export const DLAB = 0x80;

/** Lines to the modem. */
export const ModemControl = { dtr: 1, rts: 2, out1: 4, out2: 8, loop: 0x10 } as const;

/** The line's state. */
export const LineStatus = { dataReady: 1, overrun: 2, holdingEmpty: 0x20, idle: 0x40 } as const;

/** Lines from the modem; the lower half says which changed. */
export const ModemStatus = { cts: 0x10, dsr: 0x20, ring: 0x40, carrier: 0x80 } as const;
