/** Gets what the guests of `test:guest` and those beside them need, before the tests' clock runs. */
import { ensureProgram } from "./debian.ts";
import { guestImage } from "./guest-image.ts";
import { fetchUserModeLinux } from "./user-mode-linux.ts";

const { kernel, initramfs } = await guestImage();
console.log(`guests boot ${kernel} with ${initramfs}`);
await fetchUserModeLinux();
for (const program of ["passt", "tcpdump"]) await ensureProgram(program, program);
