/** What saving a device behind MMIO registers gives: plain values that survive JSON. @module */
import type { VirtioDevice } from "../device/virtio-device.ts";
import { VirtioError } from "../error/virtio-error.ts";
import { FeatureSet } from "../feature/feature-set.ts";
import { VirtioFeature } from "../feature/virtio-feature.ts";
import { isQueueSize } from "../queue/queue-config.ts";
import type { QueueState } from "../queue/queue-state.ts";
import { DeviceStatus } from "./registers.ts";

/** A queue's registers and, where it ran, its position. */
export interface MmioQueueState {
  /** Descriptors. */
  readonly size: number;
  /** Whether the driver made it live. */
  readonly ready: boolean;
  /** Whether the driver broke it: such a queue does not run again before a reset. */
  readonly lost: boolean;
  /** The descriptor area. */
  readonly descriptors: number;
  /** The driver area. */
  readonly driver: number;
  /** The device area. */
  readonly device: number;
  /** Where it stood. */
  readonly position?: QueueState;
}

/** The registers and the device behind them. */
export interface MmioState {
  /** The status register. */
  readonly status: number;
  /** Which word of the device's features shows. */
  readonly deviceFeaturesSel: number;
  /** Which word of the driver's features is written. */
  readonly driverFeaturesSel: number;
  /** What the driver wants. */
  readonly driverFeatures: readonly number[];
  /** The queue that the queue registers are about. */
  readonly queueSel: number;
  /** Interrupts that were not acknowledged. */
  readonly interruptStatus: number;
  /** The generation of the configuration. */
  readonly generation: number;
  /** The queues. */
  readonly queues: readonly MmioQueueState[];
  /** The configuration, byte by byte. */
  readonly config: readonly number[];
  /** The device's own state. */
  readonly device: unknown;
}

const isWord = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;
const isIndex = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 16;
const isPlace = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Checks a saved state: a file is not to be trusted. Throws `state-mismatch`. */
export function requireMmioState(saved: unknown, device: VirtioDevice, offered: FeatureSet): MmioState {
  const state = (saved ?? {}) as MmioState;
  const wrong = (what: string): never => {
    throw new VirtioError("state-mismatch", `this is no state of "${device.name}": ${what} does not fit`, { what });
  };
  const words = [state.status, state.deviceFeaturesSel, state.driverFeaturesSel, state.queueSel, state.interruptStatus, state.generation];
  if (!words.every(isWord)) wrong("a register");
  if (!Array.isArray(state.driverFeatures) || state.driverFeatures.length !== 4 || !state.driverFeatures.every(isWord))
    wrong("the features");
  const { Acknowledge, Driver, DriverOk, FeaturesOk, NeedsReset, Failed } = DeviceStatus;
  const known = Acknowledge | Driver | DriverOk | FeaturesOk | NeedsReset | Failed;
  if ((state.status & ~known) !== 0 || (state.interruptStatus & ~3) !== 0) wrong("a register");
  const isByte = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 256;
  if (!Array.isArray(state.config) || state.config.length !== device.config.size || !state.config.every(isByte)) wrong("the configuration");
  const features = FeatureSet.fromWords(state.driverFeatures);
  const settled = (state.status & FeaturesOk) !== 0;
  if (settled && !(features.isSubsetOf(offered) && features.has(VirtioFeature.Version1))) wrong("a feature that the device has not");
  if (!settled && (state.status & DriverOk) !== 0) wrong("a driver that is ready without features");
  if (!Array.isArray(state.queues) || state.queues.length !== device.queues.length) wrong("the number of queues");
  const packed = features.has(VirtioFeature.RingPacked);
  for (const [index, queue] of state.queues.entries()) {
    const most = device.queues[index]?.size ?? 0;
    const sane =
      isWord(queue?.size) &&
      queue.size <= most &&
      typeof queue.ready === "boolean" &&
      typeof queue.lost === "boolean" &&
      (!queue.ready || isQueueSize(queue.size, packed)) &&
      [queue.descriptors, queue.driver, queue.device].every(isPlace) &&
      (queue.position === undefined || isPosition(queue.position, queue.size));
    if (!sane) wrong(`queue ${index}`);
  }
  return state;
}

function isPosition(position: QueueState, size: number): boolean {
  const isPiece = (piece: unknown): boolean =>
    Array.isArray(piece) && piece.length === 2 && isPlace(piece[0]) && piece[0] < 2 ** 52 && isWord(piece[1]);
  return (
    isIndex(position?.available) &&
    isIndex(position.used) &&
    Array.isArray(position.inFlight) &&
    position.inFlight.length <= size &&
    new Set(position.inFlight.map((buffer) => buffer?.id)).size === position.inFlight.length &&
    position.inFlight.reduce((sum, buffer) => sum + buffer?.slots, 0) <= size &&
    position.inFlight.every(
      (buffer) =>
        isIndex(buffer?.id) &&
        isIndex(buffer.slots) &&
        buffer.slots >= 1 &&
        (buffer.written === undefined || isWord(buffer.written)) &&
        Array.isArray(buffer.readable) &&
        Array.isArray(buffer.writable) &&
        [...buffer.readable, ...buffer.writable].every(isPiece),
    )
  );
}
