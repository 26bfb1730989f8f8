# SPDX-License-Identifier: GPL-2.0-or-later
"""nested_disk.py - a raw file as a disk, read by the guest past its own page cache, out of the
host's. What is measured is the way from the guest's kernel to the host's and back, not a drive."""

import contextlib
import os
import tempfile

from guests import INSIDE

# id: how the guest reads, bytes at once, depth
LOADS = {
    "blk.rand_vs_qemu": ("rand", 4096, 16),
    "blk.rand1_vs_qemu": ("rand", 4096, 1),
    "blk.seq_vs_qemu": ("seq", 1 << 20, 1),
}
IDS = tuple(LOADS)
PROCESSORS = 2
ROUNDS = 12
SECONDS = 1
DISK_MIB = 256
MIB = 1 << 20


def figure(name, out):
    """Reads a second, or MiB a second for whole ones."""
    reads, ns = (int(word) for word in out.split())
    _, block, _ = LOADS[name]
    return reads * (block // MIB or 1) * 1e9 / ns


def scratch_disk(guest):
    """Its name in the guest. Under QEMU the root image is a disk too; the size tells them apart."""
    script = f"cd /sys/block; grep -lx {DISK_MIB * MIB // 512} vd*/size"
    return "/dev/" + guest.run(["sh", "-c", script]).decode().split("/", maxsplit=1)[0]


def measure(bench):
    """Both guests are up all the time, and idle while it is the other's turn: the turns are short."""
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(tempfile.NamedTemporaryFile(prefix="bench-disk-"))
                 for _ in range(2)]
        for _ in range(DISK_MIB):
            for disk in disks:
                disk.write(os.urandom(MIB))
        for disk in disks:
            disk.flush()
        drive = f"if=none,id=scratch,format=raw,file={disks[1].name}"
        guests = [
            stack.enter_context(bench.guest(0, cloche=["--disk", disks[0].name], root=True)),
            stack.enter_context(bench.guest(1, qemu=[
                "-drive", drive, "-device", "virtio-blk-device,drive=scratch"], root=True))]
        for guest in guests:
            guest.quiet()
        loads = [guest.put(INSIDE / "disk") for guest in guests]
        devices = [scratch_disk(guest) for guest in guests]
        for name, (kind, block, depth) in LOADS.items():
            if not bench.wants(name):
                continue
            before = [guest.cpu_ticks() for guest in guests]
            for _, side in bench.turns(ROUNDS):
                out = guests[side].run([loads[side], kind, block, depth, SECONDS, devices[side]],
                                       root=True)
                bench.note(name, side, figure(name, out))
            for guest, ticks in zip(guests, before):
                guest.print_cpu(name, ticks)
