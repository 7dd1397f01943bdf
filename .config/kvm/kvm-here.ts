/** Whether there is a KVM here, for what is not run where there is none. @module */
import { KvmError, openKvm } from "../../packages/kvm-core/src/index.ts";

/** Why KVM can't be had here; undefined where it can. Another error than that is thrown: it is no reason. */
export const kvmRefusal: string | undefined = await openKvm().then(
  (kvm) => void kvm[Symbol.dispose](),
  (error: unknown) => {
    if (!KvmError.is(error)) throw error;
    return error.message;
  },
);
