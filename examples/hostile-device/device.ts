/** What `virtspace serve` takes: an entropy device that does what the environment says, as `HOSTILE=serve,claim:4096,misname:63`. */
import { VirtioDeviceType, type VirtioPlugin } from "@virtspace/virtio";
import { hostileDevice } from "./hostile-device.ts";
import { breakDown, claim, keep, type Move, misname, serve } from "./moves.ts";

const MOVES: Readonly<Record<string, (value: number) => Move>> = {
  serve: () => serve,
  claim,
  misname,
  keep: () => keep,
  break: () => breakDown,
};

export default function hostile(): VirtioPlugin {
  const script = (process.env["HOSTILE"] ?? "").split(",").map((word) => {
    const [name = "", value] = word.split(":");
    const move = MOVES[name];
    if (move === undefined) throw new Error(`there is no move "${name}": name some of ${Object.keys(MOVES).join(", ")} in HOSTILE`);
    return move(Number(value));
  });
  return hostileDevice({ type: VirtioDeviceType.Entropy, script, honest: (chain) => chain.fill((bytes) => bytes.fill(0xaa)) });
}
