/** A processor and its interrupt controllers as a value. @module */
import { HypervisorError, type MachineState } from "@virtspace/hypervisor";
import { Cpu, PIC_BYTES } from "../engine/cpu-layout.ts";
import type { Engine } from "../engine/engine.ts";

/** The engine's name in saved state. */
export const NAME = "v86";
const VERSION = 1;

interface Payload {
  readonly cpu: Uint8Array;
  readonly pics: readonly [Uint8Array, Uint8Array];
  readonly tsc: bigint;
}

/** Saves an engine that stands still. */
export function saveEngine(engine: Engine): MachineState {
  const { calls } = engine;
  const payload: Payload = {
    cpu: partOf(engine, Cpu.start, Cpu.end - Cpu.start).slice(),
    pics: [partOf(engine, calls.get_pic_addr_master(), PIC_BYTES).slice(), partOf(engine, calls.get_pic_addr_slave(), PIC_BYTES).slice()],
    tsc: calls.read_tsc(),
  };
  return { hypervisor: NAME, version: VERSION, payload };
}

/**
 * Puts a saved state into an engine that stands still; one that makes no sense changes nothing.
 *
 * @throws {@link HypervisorError} `foreign-state`
 */
export function restoreEngine(engine: Engine, { hypervisor, version, payload }: MachineState): void {
  if (hypervisor !== NAME || version !== VERSION) {
    throw new HypervisorError(
      "foreign-state",
      `this state is of ${hypervisor}, version ${version}: ${NAME} takes its own, of version ${VERSION}`,
    );
  }
  const { cpu, pics, tsc } = checked(payload);
  const { calls } = engine;
  const memorySize = engine.data.getUint32(Cpu.memorySize, true);
  partOf(engine, Cpu.start, cpu.length).set(cpu);
  // How much memory there is follows from the map, not from the state.
  engine.data.setUint32(Cpu.memorySize, memorySize, true);
  partOf(engine, calls.get_pic_addr_master(), PIC_BYTES).set(pics[0]);
  partOf(engine, calls.get_pic_addr_slave(), PIC_BYTES).set(pics[1]);
  calls.set_tsc(Number(tsc & 0xffff_ffffn), Number((tsc >> 32n) & 0xffff_ffffn));
  engine.forget();
}

function checked(payload: unknown): Payload {
  const { cpu, pics, tsc } = (payload ?? {}) as Partial<Payload>;
  const isBytes = (value: unknown, length: number): boolean => value instanceof Uint8Array && value.length === length;
  if (cpu !== undefined && isBytes(cpu, Cpu.end - Cpu.start) && pics !== undefined && typeof tsc === "bigint") {
    if (isBytes(pics[0], PIC_BYTES) && isBytes(pics[1], PIC_BYTES)) return { cpu, pics, tsc };
  }
  throw new HypervisorError("foreign-state", "this state has not the parts that a saved machine has: it was cut or altered");
}

function partOf(engine: Engine, offset: number, length: number): Uint8Array {
  return new Uint8Array(engine.calls.memory.buffer, offset, length);
}
