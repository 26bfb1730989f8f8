#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""nested.py ID… - benchmarks with a real guest, inside the test bed (scripts/testbed). Prints a line
"sample ID SIDE VALUE" for each as soon as it is taken, side 0 being cloche: a machine that dies takes
nothing with it.

A module of MODULES has IDS, the benchmarks that it can take, PROCESSORS, how many its machine has (two
where guest and backend work at the same time, as on a real host; the emulation is the safer with one),
and measure(bench), which is called when one of them is wanted and notes all that it has. So the guests of one id serve others too: a
boot of the boot benchmark that may go on until Chromium is up is a guest of the memory benchmark.
"""

import contextlib
import pathlib
import sys
import tempfile

import nested_boot
import nested_disk
import nested_net
import nested_snapshot
import nested_vsock
from guests import ClocheGuest, GuestFailed, QemuGuest

MODULES = [nested_boot, nested_disk, nested_net, nested_vsock, nested_snapshot]
MIB = 1 << 20
FIRST_CID = 1000
GUESTS_LOST_MAX = 3


class Bench:
    def __init__(self, ids):
        self.ids = ids
        self.samples = {name: [[], []] for name in ids}
        self.next_cid = FIRST_CID

    def wants(self, name):
        return name in self.samples

    def note(self, name, side, value):
        """Keeps a sample, side 0 being cloche and 1 the yardstick, QEMU as a rule, if the benchmark is wanted at all."""
        if name in self.samples:
            self.samples[name][side].append(value)
            print(f"sample {name} {side} {value:.6g}", flush=True)

    @staticmethod
    def turns(count):
        """Pairs (round, side), the first of a round changing: neither side has the warmer caches."""
        for index in range(count):
            for side in ((0, 1), (1, 0))[index % 2]:
                yield index, side

    @contextlib.contextmanager
    def guest(self, side, cloche=(), qemu=(), cpus=1, root=False, append=""):
        """A guest whose agent is up, with each VMM's own further options. What goes wrong within is
        told with the end of the guest's console."""
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = pathlib.Path(name)
            if side == 0:
                guest = ClocheGuest(folder, *cloche, cpus=cpus, root=root, append=append)
            else:
                guest = QemuGuest(folder, self.next_cid, *qemu, cpus=cpus, root=root,
                                  append=append)
                self.next_cid += 1
            try:
                guest.wait("agent")
                yield guest
            except (GuestFailed, OSError) as why:
                guest.check_alive()
                console = (folder / "console").read_text(errors="replace")
                raise GuestFailed(f"{why}\n{console[-3000:]}") from why
            finally:
                guest.end()


def warm_up():
    """Reads the files both sides use once, so that the first guest doesn't pay for the disk."""
    images = pathlib.Path("build/images")
    for name in ("vmlinux", "initramfs.cpio", "root.erofs"):
        with open(images / name, "rb") as image:
            while image.read(MIB):
                pass


def measure(module, bench):
    """
    With several processors the emulated machine loses a guest now and then (scripts/testbed tells
    why), on either side. That is said, and the module begun anew; what it has noted stays.
    """
    for lost in range(GUESTS_LOST_MAX + 1):
        try:
            module.measure(bench)
            return True
        except (GuestFailed, OSError) as why:
            print(f"nested: {module.__name__}: guest {lost + 1} of at most {GUESTS_LOST_MAX} was lost: "
                  f"{why}", file=sys.stderr)
    return False


def main():
    bench = Bench(sys.argv[1:])
    warm_up()
    status = 0
    for module in MODULES:
        if not any(bench.wants(name) for name in module.IDS):
            continue
        if not measure(module, bench):
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
