/** Gets what the guests of `test:guest` need, before the tests' clock runs. */
import { guestImage } from "./guest-image.ts";

const { kernel, initramfs } = await guestImage();
console.log(`guests boot ${kernel} with ${initramfs}`);
