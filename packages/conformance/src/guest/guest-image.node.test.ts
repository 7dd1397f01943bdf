/** The images are what their sources say. */
import { expect, test } from "vitest";
import { builtImages, compiler, whyNotBuilt } from "../../guests/built-images.ts";
import { type GuestName, guestImage } from "./guest-image.ts";

const BUILT_WITH = "12.2.0";
const why = whyNotBuilt() ?? (compiler() === BUILT_WITH ? undefined : `gcc ${compiler()} makes other bytes than ${BUILT_WITH}`);

if (why !== undefined) console.warn(`Not run: the rebuild of the guests' images. ${why}`);

test.skipIf(why !== undefined)(`the images are those that their sources make${why === undefined ? "" : `, not run: ${why}`}`, () => {
  for (const [name, bytes] of Object.entries(builtImages())) {
    expect(Buffer.from(guestImage(name as GuestName)).equals(bytes), `${name}: run guests/build.ts`).toBe(true);
  }
});
