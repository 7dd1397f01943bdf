/** Says what makes QEMU boot the tests' guest, for somebody's own command line: a shell on its first serial port. Makes it before. */
import { guestImage } from "./guest-image.ts";

const { kernel, initramfs } = await guestImage();
console.log(`-kernel ${kernel} -initrd ${initramfs}`);
