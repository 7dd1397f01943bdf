/*
 * Gets an address by DHCP, finds its gateway, pings it and echoes UDP: on a virtio-net card, on a venet, or on each of them.
 *
 * Options: virtio_mmio.device=4K@0xd0000000:5 (as Linux takes it), packed; vbus.bridge=64@0xd0100000:0x700:10 (a bridge's window, its first
 * port, its line), pieces (frames in pieces), slow (no calls by a port); ping=4 (so many), udp=0 (so many datagrams to the gateway's echo
 * port, and back), exit (done after that; else it answers ARP, pings and UDP at port 7 for good).
 */
#include "venet.h"
#include "virtio-net.h"

enum {
  ARP = 0x0806, IPV4 = 0x0800, ICMP = 1, UDP = 17, ECHO_REQUEST = 8, ECHO_REPLY = 0,
  ETHERNET_BYTES = 14, ARP_BYTES = 28, IP_BYTES = 20, UDP_BYTES = 8, ICMP_BYTES = 8,
  ECHO_PORT = 7, OWN_PORT = 4000, DHCP_SERVER = 67, DHCP_CLIENT = 68, DHCP_BYTES = 240, DHCP_OPTIONS_BYTES = 60,
  DISCOVER = 1, OFFER = 2, REQUEST = 3, ACCEPTED = 5,
  TRANSACTION = 0x76697274, PAYLOAD_BYTES = 32,
};

static const u8 everybody[6] = {255, 255, 255, 255, 255, 255};

/* Each card has an address of its own, and a gateway. */
struct station {
  const struct card *card;
  u8 gateway_mac[6];
  u32 ip, gateway_ip;
  /* What the loop waits for. */
  struct {
    u32 dhcp, offered, router, server;
    int arp, echo, datagram;
  } came;
};
static struct station stations[2];
static u32 cards;
/* The one whose turn it is. */
static struct station *own = stations;

static u32 get16(const u8 *at) { return (u32)at[0] << 8 | at[1]; }
static u32 get32(const u8 *at) { return get16(at) << 16 | get16(at + 2); }
static void put16(u8 *at, u32 value) {
  at[0] = (u8)(value >> 8);
  at[1] = (u8)value;
}
static void put32(u8 *at, u32 value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}
static int same(const u8 *a, const u8 *b, u32 length) {
  for (u32 i = 0; i < length; i++)
    if (a[i] != b[i]) return 0;
  return 1;
}

static u32 sum(const u8 *at, u32 length) {
  u32 total = 0;
  for (u32 i = 0; i + 1 < length; i += 2) total += get16(at + i);
  if (length & 1) total += (u32)at[length - 1] << 8;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return total;
}

static void print_ip(u32 ip) {
  for (int i = 3; i >= 0; i--) {
    print_number((ip >> (8 * i)) & 255);
    if (i > 0) print(".");
  }
}
static void print_mac(const u8 *mac) {
  for (int i = 0; i < 6; i++) {
    print_hex(mac[i], 2);
    if (i < 5) print(":");
  }
}

static u8 *ethernet(const u8 *to, u32 kind) {
  u8 *frame = own->card->frame();
  memcpy(frame, to, 6);
  memcpy(frame + 6, own->card->mac, 6);
  put16(frame + 12, kind);
  return frame;
}

/* Begins a packet. What is behind its header is made first; send_ip knows its length. */
static u8 *ip(const u8 *mac) { return ethernet(mac, IPV4) + ETHERNET_BYTES + IP_BYTES; }

static void send_ip(u8 *payload, u32 length, u32 protocol, u32 to) {
  u8 *header = payload - IP_BYTES;
  memset(header, 0, IP_BYTES);
  header[0] = 0x45;
  put16(header + 2, IP_BYTES + length);
  header[8] = 64;
  header[9] = (u8)protocol;
  put32(header + 12, own->ip);
  put32(header + 16, to);
  put16(header + 10, ~sum(header, IP_BYTES) & 0xffff);
  own->card->send(ETHERNET_BYTES + IP_BYTES + length);
}

/* A datagram without a checksum of its own, which IPv4 allows. */
static void send_udp(u8 *payload, u32 length, u32 from, u32 to_port, u32 to) {
  u8 *header = payload - UDP_BYTES;
  put16(header, from);
  put16(header + 2, to_port);
  put16(header + 4, UDP_BYTES + length);
  put16(header + 6, 0);
  send_ip(header, UDP_BYTES + length, UDP, to);
}

static void send_arp(u32 operation, const u8 *mac, u32 to) {
  u8 *packet = ethernet(operation == 1 ? everybody : mac, ARP) + ETHERNET_BYTES;
  put32(packet, 0x00010800);
  put16(packet + 4, 0x0604);
  put16(packet + 6, operation);
  memcpy(packet + 8, own->card->mac, 6);
  put32(packet + 14, own->ip);
  memcpy(packet + 18, mac, 6);
  put32(packet + 24, to);
  own->card->send(ETHERNET_BYTES + ARP_BYTES);
}

static void send_dhcp(u32 kind) {
  u8 *message = ip(everybody) + UDP_BYTES;
  memset(message, 0, DHCP_BYTES + DHCP_OPTIONS_BYTES);
  put32(message, 0x01010600);
  put32(message + 4, TRANSACTION);
  /* The answer is to be broadcast: there is no address yet. */
  put16(message + 10, 0x8000);
  memcpy(message + 28, own->card->mac, 6);
  put32(message + 236, 0x63825363);
  u8 *option = message + DHCP_BYTES;
  *option++ = 53;
  *option++ = 1;
  *option++ = (u8)kind;
  if (kind == REQUEST) {
    *option++ = 50;
    *option++ = 4;
    put32(option, own->came.offered);
    option += 4;
    *option++ = 54;
    *option++ = 4;
    put32(option, own->came.server);
    option += 4;
  }
  *option++ = 55;
  *option++ = 2;
  *option++ = 1;
  *option++ = 3;
  *option = 255;
  send_udp(message, DHCP_BYTES + DHCP_OPTIONS_BYTES, DHCP_CLIENT, DHCP_SERVER, 0xffffffff);
}

static void dhcp(const u8 *message, u32 length) {
  if (length < DHCP_BYTES || message[0] != 2 || get32(message + 4) != TRANSACTION || get32(message + 236) != 0x63825363) return;
  if (!same(message + 28, own->card->mac, 6)) return;
  own->came.offered = get32(message + 16);
  u32 kind = 0;
  for (u32 at = DHCP_BYTES; at < length && message[at] != 255;) {
    if (message[at] == 0) {
      at++;
      continue;
    }
    if (at + 2 > length || at + 2 + message[at + 1] > length) return;
    const u8 *value = message + at + 2;
    u32 bytes = message[at + 1];
    if (message[at] == 53 && bytes == 1) kind = value[0];
    if (message[at] == 3 && bytes >= 4) own->came.router = get32(value);
    if (message[at] == 54 && bytes == 4) own->came.server = get32(value);
    at += 2 + bytes;
  }
  own->came.dhcp = kind;
}

static void arp(const u8 *packet, u32 length) {
  if (length < ARP_BYTES || get32(packet) != 0x00010800 || own->ip == 0 || get32(packet + 24) != own->ip) return;
  if (get16(packet + 6) == 1) send_arp(2, packet + 8, get32(packet + 14));
  else if (get32(packet + 14) == own->gateway_ip) {
    memcpy(own->gateway_mac, packet + 8, 6);
    own->came.arp = 1;
  }
}

static void icmp(const u8 *message, u32 length, const u8 *mac, u32 from) {
  if (length < ICMP_BYTES || sum(message, length) != 0xffff) return;
  if (message[0] == ECHO_REPLY && from == own->gateway_ip) own->came.echo = (int)get16(message + 6);
  if (message[0] != ECHO_REQUEST) return;
  u8 *reply = ip(mac);
  memcpy(reply, message, length);
  reply[0] = ECHO_REPLY;
  put16(reply + 2, 0);
  put16(reply + 2, ~sum(reply, length) & 0xffff);
  send_ip(reply, length, ICMP, from);
}

static void udp(const u8 *datagram, u32 length, const u8 *mac, u32 from) {
  if (length < UDP_BYTES) return;
  u32 bytes = get16(datagram + 4);
  if (bytes < UDP_BYTES || bytes > length) return;
  u32 port = get16(datagram + 2);
  if (port == DHCP_CLIENT) dhcp(datagram + UDP_BYTES, bytes - UDP_BYTES);
  if (port == OWN_PORT && from == own->gateway_ip) own->came.datagram = 1;
  if (port != ECHO_PORT) return;
  u8 *payload = ip(mac) + UDP_BYTES;
  memcpy(payload, datagram + UDP_BYTES, bytes - UDP_BYTES);
  send_udp(payload, bytes - UDP_BYTES, ECHO_PORT, get16(datagram), from);
}

static void ipv4(const u8 *packet, u32 length, const u8 *mac) {
  if (length < IP_BYTES || packet[0] != 0x45 || sum(packet, IP_BYTES) != 0xffff) return;
  u32 whole = get16(packet + 2), to = get32(packet + 16), from = get32(packet + 12);
  if (whole < IP_BYTES || whole > length || whole > FRAME_BYTES - ETHERNET_BYTES) return;
  /* No fragments: nobody here sends any. */
  if ((get16(packet + 6) & 0x3fff) != 0) return;
  if (own->ip != 0 && to != own->ip && to != 0xffffffff) return;
  if (packet[9] == ICMP && to == own->ip) icmp(packet + IP_BYTES, whole - IP_BYTES, mac, from);
  if (packet[9] == UDP) udp(packet + IP_BYTES, whole - IP_BYTES, mac, from);
}

/* Handles a frame of its card's, if one has come. */
static int answer(void) {
  u8 *frame;
  u32 length = own->card->receive(&frame);
  if (length == 0) return 0;
  if (length >= ETHERNET_BYTES && (same(frame, own->card->mac, 6) || same(frame, everybody, 6))) {
    u32 kind = get16(frame + 12);
    if (kind == ARP) arp(frame + ETHERNET_BYTES, length - ETHERNET_BYTES);
    if (kind == IPV4) ipv4(frame + ETHERNET_BYTES, length - ETHERNET_BYTES, frame + 6);
  }
  own->card->done();
  return 1;
}

/* Whoever waits, all cards are looked at; where nothing has come on any, for an interrupt. */
static void turn(void) {
  struct station *waiting = own;
  int answered = 0;
  for (own = stations; own < stations + cards; own++) answered |= answer();
  own = waiting;
  if (!answered) interrupts_wait();
}

static void begin_line(void) { print(own->card->prefix); }

static void lease(void) {
  /* Somebody else may be given what was offered: then it begins anew. */
  while (own->came.dhcp != ACCEPTED) {
    own->came.dhcp = 0;
    send_dhcp(DISCOVER);
    while (own->came.dhcp != OFFER) turn();
    send_dhcp(REQUEST);
    while (own->came.dhcp == OFFER) turn();
  }
  own->ip = own->came.offered;
  own->gateway_ip = own->came.router != 0 ? own->came.router : own->came.server;
  begin_line();
  print("lease: ");
  print_ip(own->ip);
  print(", gateway ");
  print_ip(own->gateway_ip);
  print("\n");
}

static void find_gateway(void) {
  static const u8 nobody[6];
  send_arp(1, nobody, own->gateway_ip);
  while (!own->came.arp) turn();
  begin_line();
  print("gateway is at ");
  print_mac(own->gateway_mac);
  print("\n");
}

static void ping(u32 number) {
  u8 *message = ip(own->gateway_mac);
  for (u32 i = 0; i < ICMP_BYTES + PAYLOAD_BYTES; i++) message[i] = (u8)i;
  message[0] = ECHO_REQUEST;
  message[1] = 0;
  put32(message + 2, 0);
  put16(message + 4, 1);
  put16(message + 6, number);
  put16(message + 2, ~sum(message, ICMP_BYTES + PAYLOAD_BYTES) & 0xffff);
  own->came.echo = -1;
  send_ip(message, ICMP_BYTES + PAYLOAD_BYTES, ICMP, own->gateway_ip);
  while (own->came.echo != (int)number) turn();
  begin_line();
  print("ping ");
  print_number(number);
  print(": answered\n");
}

static void echo(void) {
  u8 *payload = ip(own->gateway_mac) + UDP_BYTES;
  memset(payload, 'v', PAYLOAD_BYTES);
  own->came.datagram = 0;
  send_udp(payload, PAYLOAD_BYTES, OWN_PORT, ECHO_PORT, own->gateway_ip);
  while (!own->came.datagram) turn();
}

/* Reads size@number:number..., as Linux is told of devices. 0: it isn't there. */
static int place(const char *at, u32 *numbers, u32 count) {
  if (at == 0) return 0;
  while (*at != 0 && *at != ' ' && *at != '@') at++;
  for (u32 i = 0; i < count && (*at == '@' || *at == ':'); i++) {
    at++;
    numbers[i] = number_at(&at);
  }
  return 1;
}

static void open_virtio(const char *line, u32 base, u32 irq) {
  if (irq > 15 || !virtio_net_open(base, (int)irq, option(line, "packed") != 0)) {
    print("there is no virtio-net at 0x");
    print_hex(base, 8);
    print("\n");
    leave(1);
  }
  print("virtio-net at 0x");
  print_hex(base, 8);
  print(", line ");
  print_number(irq);
  print(virtio_net_is_packed() ? ", packed rings, " : ", split rings, ");
  print_mac(virtio_net.mac);
  print("\n");
  stations[cards++].card = &virtio_net;
}

static void open_venet(const char *line, const struct vbus_place *at) {
  if (at->line > 15 || !vbus_open(at, option(line, "slow") != 0)) {
    print("there is no vbus bridge at 0x");
    print_hex(at->window, 8);
    print("\n");
    leave(1);
  }
  if (!venet_open(option(line, "pieces") != 0)) {
    print("the venet can't be used\n");
    leave(1);
  }
  print("venet at 0x");
  print_hex(at->window, 8);
  print(", line ");
  print_number(at->line);
  print(venet_has_pieces() ? ", frames in pieces, " : ", ");
  print_mac(venet.mac);
  print("\n");
  stations[cards++].card = &venet;
}

static void be_busy(u32 pings, u32 datagrams) {
  lease();
  find_gateway();
  for (u32 i = 1; i <= pings; i++) ping(i);
  for (u32 i = 0; i < datagrams; i++) echo();
  if (datagrams == 0) return;
  begin_line();
  print_number(datagrams);
  print(" datagrams came back\n");
}

void guest_main(u32 magic, u32 information);
void guest_main(u32 magic, u32 information) {
  const char *line = command_line(magic, information);
  u32 virtio[] = {0xd0000000, 5}, bridge[] = {0, 0, 16};
  int has_virtio = place(option(line, "virtio_mmio.device"), virtio, 2), has_bridge = place(option(line, "vbus.bridge"), bridge, 3);
  interrupts_off();
  interrupts_set_up();
  if (has_virtio || !has_bridge) open_virtio(line, virtio[0], virtio[1]);
  if (has_bridge) open_venet(line, &(struct vbus_place){bridge[0], bridge[1], bridge[2]});
  u32 pings = number_option(line, "ping", 4), datagrams = number_option(line, "udp", 0);
  for (; own < stations + cards; own++) be_busy(pings, datagrams);
  own = stations;
  if (option(line, "exit") != 0) leave(0);
  print("answering\n");
  for (;;) turn();
}
