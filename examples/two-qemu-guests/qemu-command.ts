/** The command line of a guest whose card is served at a socket, but for what it boots. */

/** What a guest is told of its card. */
export interface GuestCard {
  readonly path: string;
  readonly mac: string;
}

export function qemuCommand({ path, mac }: GuestCard): string {
  return [
    "qemu-system-x86_64 -m 512 -nodefaults -nographic -serial mon:stdio",
    // The card works in the guest's memory, so that is shared; and a memfd, which QEMU can't shrink under it.
    "-object memory-backend-memfd,id=mem,size=512M,share=on -machine q35,memory-backend=mem",
    `-chardev socket,id=c0,path=${path} -netdev vhost-user,id=n0,chardev=c0`,
    // Without KVM QEMU 7.2 crashes if there are vectors.
    `-device virtio-net-pci,netdev=n0,mac=${mac},vectors=0`,
  ].join(" \\\n    ");
}
