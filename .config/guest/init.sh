#!/bin/busybox sh
# A guest's first and only program: loads virtio's drivers, then does what comes in by the second serial port. It configures nothing.
# The first serial port is the kernel's own, and takes what goes wrong here; where there is no second one, it has a shell for somebody.
export PATH=/bin:/sbin HOME=/root TERM=dumb

# Until /proc is there busybox doesn't find its own commands.
/bin/busybox mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a virtio_pci virtio_mmio virtio_net

if ! stty -F /dev/ttyS1 >/dev/null 2>&1; then
  while :; do setsid -c sh </dev/ttyS0 >/dev/ttyS0 2>&1; done
fi

# Raw: no echo, no translation of line ends, no limit of 4 KiB a line, no character that means something to the terminal.
exec 3<>/dev/ttyS1
stty raw -echo <&3
printf '\n@guest ready\n' >&3

# The loop is a process of its own: this first one has the orphans of background commands, and one that ends while a shell reads makes
# it lose what it has read of the line.
#
# A line is a token and a command. The two marks round the output have the token, and each is a line of its own whatever the command
# printed. The shell has the state of its own process alone: a directory or variable that a command sets ends with it.
(
while read -r token command <&3; do
  printf '\n@%s begin\n' "$token" >&3
  sh -c "$(printf '%b' "$command")" </dev/null >&3 2>&1 3>&-
  printf '\n@%s end %s\n' "$token" $? >&3
done
)
echo "the guest's commands have ended"
