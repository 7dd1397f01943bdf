/** A network card that has what it carries told: a plug-in that is a class, made by the machine's container. */
import { captured, type NetworkBackend } from "@virtspace/network";
import { VirtioNet } from "@virtspace/virtio-net";
import { inject, injectable } from "inversify";
import { FrameTeller } from "./frame-teller.ts";
import { Part } from "./parts.ts";

// #region card
@injectable()
export class TalkativeCard extends VirtioNet {
  constructor(@inject(Part.Network) network: NetworkBackend, @inject(Part.Mac) mac: string, @inject(FrameTeller) teller: FrameTeller) {
    super({ backend: captured(network, teller), mac });
  }
}
// #endregion card
