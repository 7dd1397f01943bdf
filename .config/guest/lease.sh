#!/bin/sh
# What udhcpc calls with what became of a lease: takes its address, and its gateway and MTU where it has them.
case "$1" in
deconfig)
  ip link set "$interface" up
  ;;
bound)
  ip addr add "$ip/$mask" dev "$interface"
  [ -z "$router" ] || ip route add default via "${router%% *}" dev "$interface"
  [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
  ;;
esac
