/** How hypervisor, bus and devices have a machine's spaces: each by a descriptor, as anybody would. @module */
import { VirtAddressSpace } from "@virtspace/virt-address-space";

/**
 * Passes a space to a part of the machine: what it has then is its own hold on it.
 *
 * @param holder - the part's name
 * @throws what the space says
 */
export function passSpace(space: VirtAddressSpace, holder: string): Promise<VirtAddressSpace> {
  return VirtAddressSpace.attach(space.descriptor({ scope: "thread", holder }));
}
