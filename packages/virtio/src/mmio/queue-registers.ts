/** What a driver has written of one queue. @module */
import { Register } from "./registers.ts";

/** A queue's registers. */
export interface QueueRegisters {
  size: number;
  ready: boolean;
  /** Whether the driver broke it. */
  lost: boolean;
  descriptors: number;
  driver: number;
  device: number;
}

/** The registers of a queue that nobody has set up. */
export const freshQueue = (): QueueRegisters => ({ size: 0, ready: false, lost: false, descriptors: 0, driver: 0, device: 0 });

const WORD = 2 ** 32;
const withLow = (address: number, low: number): number => Math.floor(address / WORD) * WORD + low;
const withHigh = (address: number, high: number): number => high * WORD + (address % WORD);

/** Writes a part of a queue's set-up; a size beyond `most` leaves it without one. */
export function writeSetUp(queue: QueueRegisters, most: number, register: number, value: number): void {
  switch (register) {
    case Register.QueueSize:
      queue.size = value <= most ? value : 0;
      break;
    case Register.QueueDescLow:
      queue.descriptors = withLow(queue.descriptors, value);
      break;
    case Register.QueueDescHigh:
      queue.descriptors = withHigh(queue.descriptors, value);
      break;
    case Register.QueueDriverLow:
      queue.driver = withLow(queue.driver, value);
      break;
    case Register.QueueDriverHigh:
      queue.driver = withHigh(queue.driver, value);
      break;
    case Register.QueueDeviceLow:
      queue.device = withLow(queue.device, value);
      break;
    case Register.QueueDeviceHigh:
      queue.device = withHigh(queue.device, value);
      break;
  }
}
