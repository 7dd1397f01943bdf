/** Composes a machine whose card, log and clock are this program's own. */
import "reflect-metadata"; // once, before the first decorator
import { boot, consoleLines } from "@virtspace/composition";
import { Gateway, LearningSwitch } from "@virtspace/network";
import { Container } from "inversify";
import { machine as description } from "./machine.ts";
import { Part } from "./parts.ts";

// What outlives a machine is in a container above the machine's.
const container = new Container();
const network = new LearningSwitch();
const gateway = new Gateway(network, { address: "10.0.2.2" });
container.bind(Part.Network).toConstantValue(network);
container.bind(Part.Mac).toConstantValue("52:54:00:00:20:09");
container.bind(Part.Print).toConstantValue((line) => console.log(line));

const onConsole = consoleLines((line) => console.log(`  | ${line}`));

await using machine = await boot(description, { container, onConsole });
const outcome = await machine.outcome;
console.log(`the guest ${outcome.reason === "left" ? `left with status ${outcome.status}` : outcome.reason}`);
console.log(`its card is a ${machine.devices[0]?.device.constructor.name}; the gateway answered ${gateway.counters.echo} pings`);
gateway[Symbol.dispose]();
if (outcome.reason !== "left" || outcome.status !== 0) process.exitCode = 1;
