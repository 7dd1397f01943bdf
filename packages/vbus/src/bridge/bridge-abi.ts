/** The bridge as guests see it: its windows, calls and events, version 2 of the ABI. @module */

/** What a guest negotiates with. */
export const BRIDGE_MAGIC = 0xbf53_eef5;
/** The version of the calls. */
export const BRIDGE_VERSION = 1;
/** As a PCI device it was this one. */
export const BRIDGE_PCI_ID: {
  /** Its vendor. */
  readonly vendor: number;
  /** Its device. */
  readonly device: number;
} = { vendor: 0x11da, device: 0x2000 };

/** Bytes of the memory window: a call's descriptor is written there, and a read of its first word executes it. */
export const BRIDGE_MMIO_SIZE = 64;
/** Bytes of the port window. */
export const BRIDGE_PORTS_SIZE = 32;
/** Registers of the port window. */
export const BridgePort: {
  /** Events were taken: 0 is written. */
  readonly eventq: 0;
  /** A call by a processor's descriptor: its channel is written. */
  readonly fastcall: 4;
  /** News for a device: the handle of its signal is written. */
  readonly shmsignal: 8;
} = { eventq: 0, fastcall: 4, shmsignal: 8 };

/** A call's descriptor. */
export const CallDesc: {
  /** Which call, 32 bits. */
  readonly vector: 0;
  /** Bytes of its parameters, 32 bits. */
  readonly len: 4;
  /** Their guest address, 64 bits. */
  readonly datap: 8;
  /** Bytes in all. */
  readonly size: 16;
} = { vector: 0, len: 4, datap: 8, size: 16 };
/** A descriptor for calls by a port: one a processor. */
export const FastcallDesc: {
  /** A call's descriptor. */
  readonly call: 0;
  /** Its result, 32 bits, signed. */
  readonly result: 16;
  /** Bytes in all. */
  readonly size: 24;
} = { call: 0, result: 16, size: 24 };

/** Calls to the bridge. */
export const BridgeCall: {
  /** Agrees on the ABI; all begins anew. */
  readonly negotiate: 0;
  /** Registers event queues. */
  readonly qreg: 1;
  /** Calls the bus. */
  readonly slowcall: 2;
  /** Registers a processor's descriptor. */
  readonly fastcallAdd: 3;
  /** Takes one back. */
  readonly fastcallDrop: 4;
} = { negotiate: 0, qreg: 1, slowcall: 2, fastcallAdd: 3, fastcallDrop: 4 };
/** Calls to the bus. */
export const BusCall: {
  /** Opens a device. */
  readonly devopen: 0;
  /** Closes it. */
  readonly devclose: 1;
  /** Calls it. */
  readonly devcall: 2;
  /** Gives it shared memory. */
  readonly devshm: 3;
} = { devopen: 0, devclose: 1, devcall: 2, devshm: 3 };

/** Parameters of calls, as offsets. */
export const Negotiate: {
  /** The magic number, 32 bits. */
  readonly magic: 0;
  /** The version, 32 bits. */
  readonly version: 4;
  /** What is wished for, and then what is granted, 64 bits. */
  readonly capabilities: 8;
  /** Bytes in all. */
  readonly size: 16;
} = { magic: 0, version: 4, capabilities: 8, size: 16 };
/** A queue's entry in their registration. */
export const BusRegEntry: {
  /** How many events it has, 32 bits. */
  readonly count: number;
  /** The guest address of its ring, 64 bits. */
  readonly ring: number;
  /** The guest address of its events, 64 bits. */
  readonly data: number;
  /** Bytes in all. */
  readonly size: number;
} = { count: 0, ring: 8, data: 16, size: 24 };
/** Registration of event queues: a count, and as many entries. */
export const BusReg: {
  /** How many queues, 32 bits. */
  readonly count: number;
  /** Where their entries begin. */
  readonly queues: number;
  /** An entry. */
  readonly entry: typeof BusRegEntry;
} = { count: 0, queues: 8, entry: BusRegEntry };
/** DEVOPEN. */
export const DevOpen: {
  /** The device's number, 32 bits. */
  readonly devid: 0;
  /** Of its ABI, 32 bits. */
  readonly version: 4;
  /** The handle, 64 bits: written by the host. */
  readonly handle: 8;
  /** Bytes in all. */
  readonly size: 16;
} = { devid: 0, version: 4, handle: 8, size: 16 };
/** DEVCLOSE. */
export const DevClose: {
  /** The device's handle, 64 bits. */
  readonly devh: 0;
  /** Bytes in all. */
  readonly size: 8;
} = { devh: 0, size: 8 };
/** DEVCALL. */
export const DevCall: {
  /** The device's handle, 64 bits. */
  readonly devh: 0;
  /** Which function, 32 bits. */
  readonly func: 8;
  /** Bytes of its parameters, 32 bits. */
  readonly len: 12;
  /** Flags, 32 bits. */
  readonly flags: 16;
  /** The guest address of the parameters, 64 bits. */
  readonly datap: 24;
  /** Bytes in all. */
  readonly size: 32;
} = { devh: 0, func: 8, len: 12, flags: 16, datap: 24, size: 32 };
/** DEVSHM. */
export const DevShm: {
  /** The device's handle, 64 bits. */
  readonly devh: 0;
  /** What the memory is for, 32 bits. */
  readonly id: 8;
  /** Bytes of it, 32 bits. */
  readonly len: 12;
  /** Flags, 32 bits. */
  readonly flags: 16;
  /** Where in it the signal is, 32 bits. */
  readonly signalOffset: 24;
  /** The signal's priority, 32 bits. */
  readonly signalPrio: 28;
  /** The guest's word for the signal, 64 bits. */
  readonly signalCookie: 32;
  /** The guest address of the memory, 64 bits. */
  readonly datap: 40;
  /** Bytes in all. */
  readonly size: 48;
} = { devh: 0, id: 8, len: 12, flags: 16, signalOffset: 24, signalPrio: 28, signalCookie: 32, datap: 40, size: 48 };
/** A signal's offset where there is none. */
export const NO_SIGNAL = 0xffff_ffff;

/** Events. */
export const BridgeEvent: {
  /** A device came. */
  readonly devadd: 0;
  /** A device went. */
  readonly devdrop: 1;
  /** A signal has news. */
  readonly shmsignal: 2;
  /** Nothing comes of a signal any more. */
  readonly shmclose: 3;
} = { devadd: 0, devdrop: 1, shmsignal: 2, shmclose: 3 };
/** An event's bytes. */
export const EventDesc: {
  /** Which event, 32 bits. */
  readonly id: 0;
  /** The device's number, or the guest's word for the signal, 64 bits. */
  readonly data: 8;
  /** The device's type: text with a 0 behind it. */
  readonly type: 16;
  /** Bytes for the type. */
  readonly typeSize: 128;
  /** Bytes in all. */
  readonly size: 144;
} = { id: 0, data: 8, type: 16, typeSize: 128, size: 144 };

/** Priorities, and so event queues. */
export const PRIORITIES = 8;
/** Events of the bus itself. */
export const BUS_PRIORITY = 7;
/** The most events of a queue. */
export const MOST_EVENTS = 4096;
/** The most processors with a descriptor. */
export const MOST_CHANNELS = 1024;
