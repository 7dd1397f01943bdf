#!/bin/sh
# Builds the images into a folder. The same sources give the same bytes, wherever they are.
set -eu
cd "$(dirname "$0")"
to=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() {
  name=$1
  shift
  objects=""
  for source in boot.S machine.c "$@"; do
    gcc -m32 -march=i486 -mgeneral-regs-only -Os -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
      -fno-asynchronous-unwind-tables -fcf-protection=none -fno-builtin -c "$source" -o "$work/$source.o"
    objects="$objects $work/$source.o"
  done
  # shellcheck disable=SC2086
  ld -m elf_i386 -static -nostdlib --build-id=none -z noexecstack --no-warn-rwx-segments -T link.ld $objects -o "$work/$name.elf"
  objcopy -O binary "$work/$name.elf" "$to/$name.bin"
}
build hello hello.c
build count count.c
build net net.c virtio-net.c venet.c vbus.c ioq.c
