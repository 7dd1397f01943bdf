/** A module in another thread, as the sharing tests use it: it does what messages ask of it. */
import {
  type AttachDescriptorOptions,
  gpa,
  SharedNotifier,
  type SpaceDescriptor,
  sharedNotifierOpener,
  VirtAddressSpace,
  type Vmap,
} from "../index.ts";

/** What a test asks of the worker. */
export type Request =
  | {
      readonly do: "attach";
      readonly descriptor: SpaceDescriptor;
      readonly name?: string;
      readonly receive?: boolean;
      readonly wake?: SharedArrayBuffer;
    }
  | { readonly do: "read" | "regions" | "holders" | "detach" | "io window" | "doorbell" | "propose overlap"; readonly address?: number }
  | { readonly do: "write"; readonly address: number; readonly value: number }
  | { readonly do: "vmap"; readonly address: number; readonly length: number }
  | { readonly do: "vmap close" | "batch" | "batch end" | "hang" }
  | { readonly do: "mark many"; readonly pages: number; readonly rounds: number }
  | { readonly do: "loop"; readonly stop: SharedArrayBuffer }
  | { readonly do: "wait"; readonly notifier: SharedArrayBuffer; readonly until: number };

interface Host {
  post(message: unknown): void;
  receive?: AttachDescriptorOptions["receive"];
}

/** Serves the requests of a test. */
export function serve(host: Host): (request: Request) => Promise<void> {
  let space: VirtAddressSpace;
  let window: Vmap | undefined;
  let batch: ReturnType<VirtAddressSpace["batch"]> | undefined;
  let counter = 0;
  const faults: string[] = [];

  async function perform(request: Request): Promise<unknown> {
    switch (request.do) {
      case "attach": {
        const wake = request.wake && sharedNotifierOpener.open({ kind: "shared", payload: request.wake });
        space = await VirtAddressSpace.attach(request.descriptor, {
          name: request.name ?? "worker",
          onFault: ({ code, cause }) => faults.push(`${code}: ${String(cause)}`),
          ...(request.receive === true && host.receive && { receive: host.receive }),
          ...(wake && { wake }),
        });
        return { id: space.id, size: space.size, owned: space.owned, generation: space.view().generation };
      }
      case "read":
        return space.readU32(gpa(request.address ?? 0));
      case "write":
        return space.writeU32(gpa(request.address), request.value);
      case "regions":
        return space.view().ranges.map(({ region, start, size }) => [region.name, start, size]);
      case "holders":
        return { holders: space.holders, faults };
      case "vmap":
        window = space.vmap(gpa(request.address), request.length);
        return window.u32[0];
      case "vmap close":
        window?.[Symbol.dispose]();
        return window?.valid;
      case "batch":
        batch = space.batch();
        return batch.view.generation;
      case "batch end":
        batch?.[Symbol.dispose]();
        return space.view().generation;
      case "io window": {
        const region = await space.propose((change) =>
          change.map({
            kind: "io",
            name: "counter",
            base: gpa(request.address ?? 0),
            size: 8,
            handler: { read: () => ++counter, write: (_, __, value) => (counter = value) },
          }),
        );
        return [region.id, region.base, space.readU32(gpa(request.address ?? 0))];
      }
      case "doorbell": {
        const notifier = new SharedNotifier();
        await space.propose((change) => change.addDoorbell({ address: gpa(request.address ?? 0), length: 4, notifier }));
        return notifier.waitAsync(5000);
      }
      case "propose overlap":
        return space
          .propose((change) =>
            change.map({ kind: "io", name: "late", base: gpa(request.address ?? 0), size: 8, handler: { read: () => 0, write: () => {} } }),
          )
          .then(
            () => "mapped",
            (error: { code: string }) => error.code,
          );
      case "mark many":
        for (let round = 0; round < request.rounds; round++) {
          for (let page = 0; page < request.pages; page++) space.writeU32(gpa(page * 4096 + 4), round);
        }
        return true;
      case "detach":
        space[Symbol.dispose]();
        return space.released;
      case "wait": {
        const notifier = new SharedNotifier(request.notifier);
        let sum = 0;
        while (sum < request.until) sum += notifier.wait();
        return sum;
      }
      case "loop": {
        // A loop that never returns to its event loop until it is told to stop: it hears of commits by quiesce().
        const stop = new Int32Array(request.stop);
        host.post({ looping: true });
        const seen: number[] = [];
        while (Atomics.load(stop, 0) === 0) {
          if (!space.current) space.quiesce();
          const { generation } = space.view();
          if (seen.at(-1) !== generation) seen.push(generation);
        }
        return seen;
      }
      case "hang":
        host.post({ hanging: true });
        for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    }
  }

  return async (request) => {
    try {
      host.post({ done: await perform(request) });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      host.post({ failed: code ?? message });
    }
  };
}
