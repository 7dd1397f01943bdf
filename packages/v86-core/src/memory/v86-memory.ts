/** Memory inside an engine: the only one its guest runs from at full speed. @module */
import { EngineMemory } from "@virtspace/virt-address-space";
import type { Engine } from "../engine/engine.ts";

/** Memory that an engine has allocated. It stays in the engine's thread. */
export class V86Memory extends EngineMemory {
  /** The engine that it lies in. @internal */
  readonly engine: Engine;
  /** Whether a machine runs from it: a second one would be the same processor. @internal */
  taken = false;

  /** @internal */
  constructor(engine: Engine, size: number) {
    super({
      size,
      offset: engine.memoryOffset,
      buffer: () => engine.calls.memory.buffer,
      // What the engine compiled of this memory is stale now.
      hostWrote: (offset, length) => engine.calls.jit_dirty_cache(offset, offset + length),
    });
    this.engine = engine;
  }
}
