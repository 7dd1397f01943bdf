/** `virtspace vbus`: the tree of a machine's virtual bus, and commands to it. @module */
import { compose } from "@virtspace/composition";
import { DisposableStack } from "@virtspace/virt-address-space";
import { descriptionIn } from "../machine/description-file.ts";
import type { Output } from "../report/reporter.ts";

/** What was asked for. */
export interface ShowBusOptions {
  /** Commands, one each. */
  readonly command: readonly string[];
  /** Whether what happens is told, a line each, before the tree. */
  readonly events: boolean;
}

/**
 * Puts a machine together, without letting its guest run, gives its bus the commands, and draws the tree.
 *
 * @throws what the machine's parts say; `VbusError` `refused` for a command that was
 */
export async function showBus(file: string, { command, events }: ShowBusOptions, stdout: Output): Promise<void> {
  await using machine = await compose({ vbus: true, ...(await descriptionIn(file)) });
  const { admin } = machine.bus ?? {};
  if (admin === undefined) {
    stdout.write(`${machine.name} is described without a virtual bus\n`);
    return;
  }
  using watching = new DisposableStack();
  if (events) watching.use(admin.watch(({ action, path }) => void stdout.write(`${action} ${path}\n`)));
  for (const each of command) admin.run(each);
  stdout.write(`${admin}`);
}
