/** The page of vhost-user's messages is made of the table that the code runs by: `vitest -u` writes it anew. */
import { BACKEND_MESSAGES, MESSAGES, type MessageKind, ProtocolFeature } from "@virtspace/vhost-user";
import { markdownTable } from "markdown-table";
import { expect, test } from "vitest";

const FEATURES: ReadonlyMap<number, string> = new Map(Object.entries(ProtocolFeature).map(([name, bit]) => [bit, name]));

function fdsOf({ fds = [0, 0] }: MessageKind): string {
  const [least, most] = fds;
  if (most === 0) return "";
  return least === most ? `${most}` : `${least} to ${most}`;
}

function tableOf(messages: Readonly<Record<string, MessageKind>>): string {
  const rows = Object.entries(messages).map(([name, kind]) => {
    const { id, payload, reply = "", feature, owned = false } = kind;
    const named = feature === undefined ? "" : (FEATURES.get(feature) ?? `${feature}`);
    return [`${id}`, `\`${name}\``, payload === "none" ? "" : payload, fdsOf(kind), reply, named, owned ? "yes" : ""];
  });
  return markdownTable([["number", "message", "payload", "fds", "answer", "protocol feature", "after SET_OWNER"], ...rows]);
}

test("the page says what the table says", async () => {
  const page = `---
title: Messages of vhost-user
---

# Messages of vhost-user

What \`@virtspace/vhost-user\` takes and sends: the table by which it parses, checks and encodes, as a page. A message that is not
here ends a session, one whose protocol feature was not agreed on too. Payloads go by the names of
QEMU's [vhost-user document](https://qemu-project.gitlab.io/qemu/interop/vhost-user.html).

## From the front-end

${tableOf(MESSAGES)}

## From the back-end

Over the channel that \`SET_BACKEND_REQ_FD\` gave.

${tableOf(BACKEND_MESSAGES)}
`;
  await expect(page).toMatchFileSnapshot("messages.md");
});
