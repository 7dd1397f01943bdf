/** A log whose lines have the machine's time of day: it takes the place of the machine's own. */
import { type MachineHost, Service } from "@virtspace/composition";
import type { Logger } from "@virtspace/virtio";
import { inject, injectable } from "inversify";
import { Part } from "./parts.ts";

@injectable()
export class DatedLog implements Logger {
  @inject(Service.Host) private readonly host!: MachineHost;
  @inject(Part.Print) private readonly print!: (line: string) => void;

  debug(): void {}
  info = (message: string): void => this.print(`${new Date(this.host.time()).toISOString()} ${message}`);
  warn = this.info;
  error = this.info;
}
