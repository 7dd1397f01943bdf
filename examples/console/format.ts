/** The bytes of virtio-console: numbers, and messages of the control queues. @see virtio 1.3, section 5.3 */

/** What a device offers. */
export const Feature = { Size: 0, Multiport: 1 } as const;

/** What a control message is about. */
export const Event = {
  /** The driver can talk of ports, or can't. */
  DeviceReady: 0,
  /** There is a port. */
  PortAdd: 1,
  /** The driver knows a port, or could not make it. */
  PortReady: 3,
  /** A port is a console. */
  ConsolePort: 4,
  /** A console has another size. */
  Resize: 5,
  /** The sender has a port open, or closed. */
  PortOpen: 6,
  /** A port's name follows. */
  PortName: 7,
} as const;

/** A control message. */
export interface ControlMessage {
  /** The port's number. */
  readonly port: number;
  readonly event: number;
  readonly value: number;
}

/** Bytes of a control message, without what follows some. */
export const CONTROL_BYTES = 8;

/** The bytes of a message, with what follows it. */
export function encode({ port, event, value }: ControlMessage, more: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(CONTROL_BYTES + more.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, port, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  bytes.set(more, CONTROL_BYTES);
  return bytes;
}

/** A message of its bytes. */
export function decode(bytes: Uint8Array): ControlMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, CONTROL_BYTES);
  return { port: view.getUint32(0, true), event: view.getUint16(4, true), value: view.getUint16(6, true) };
}

/** A console's size, as it follows RESIZE: columns first, by the standard. Some kernels of Linux take the two for each other. */
export function encodeSize(columns: number, rows: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint16(0, columns, true);
  bytes.setUint16(2, rows, true);
  return new Uint8Array(bytes.buffer);
}
