/** What a frame is, in a few words. @module */
const ARP = 0x0806;
const IPV4 = 0x0800;
const [ICMP, UDP] = [1, 17];
const DHCP: Readonly<Record<number, string>> = { 1: "discover", 2: "offer", 3: "request", 5: "acknowledge" };
const DHCP_TYPE = 14 + 20 + 8 + 240 + 2;

/** Names a frame by its bytes. */
export function frameText(bytes: Uint8Array): string {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 34) return "short";
  const type = data.getUint16(12);
  if (type === ARP) return data.getUint16(20) === 1 ? "ARP: who has …?" : "ARP: it is here";
  if (type !== IPV4) return `type 0x${type.toString(16)}`;
  const protocol = data.getUint8(23);
  if (protocol === ICMP) return data.getUint8(34) === 8 ? "ping" : "answer to a ping";
  if (protocol !== UDP) return `IP protocol ${protocol}`;
  const [from, to] = [data.getUint16(34), data.getUint16(36)];
  if ((from !== 67 && to !== 67) || bytes.length <= DHCP_TYPE) return `UDP to port ${to}`;
  return `DHCP ${DHCP[data.getUint8(DHCP_TYPE)] ?? "message"}`;
}
