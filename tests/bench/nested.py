#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""nested.py ID… - benchmarks with a real guest, inside the test bed (scripts/testbed). Leaves
$TESTBED_OUT/samples.json: {ID: [samples, yardstick samples]}.

The guests of one id serve the others too: a boot of the boot benchmark that may go on until
Chromium is up is a guest of the memory benchmark.
"""

import json
import os
import pathlib
import sys
import tempfile
import time

from guests import ClocheGuest, GuestFailed, QemuGuest

BOOTS = 5
MEMORIES = 3
MIB = 1 << 20
FIRST_CID = 1000


class Bench:
    def __init__(self, ids):
        self.ids = ids
        self.samples = {name: [[], []] for name in ids}
        self.boots = BOOTS if "boot.ready_vs_qemu" in ids else 0
        self.memories = MEMORIES if "vmm.own_memory" in ids else 0

    def note(self, name, side, value):
        if name in self.samples:
            self.samples[name][side].append(value)
            who = ("cloche", "QEMU")[side]
            print(f"  {name}: {who} {value:.2f}", flush=True)

    def run_guest(self, side, index):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = pathlib.Path(name)
            guest = QemuGuest(folder, FIRST_CID + index) if side else ClocheGuest(folder)
            try:
                guest.wait("agent")
                if index < self.boots:
                    self.note("boot.ready_vs_qemu", side, time.monotonic() - guest.started)
                if index < self.memories:
                    guest.wait("browser")
                    guest.settle()
                    self.note("vmm.own_memory", side, guest.own_memory() / MIB)
            except (GuestFailed, OSError) as why:
                guest.check_alive()
                raise GuestFailed(f"{why}\n{(folder / 'console').read_text(errors='replace')[-3000:]}")
            finally:
                guest.end()

    def run(self):
        """In turns, the first of a pair changing: neither side has the warmer caches."""
        for index in range(max(self.boots, self.memories)):
            for side in ((0, 1), (1, 0))[index % 2]:
                self.run_guest(side, index)


def warm_up():
    """Reads the files both sides use once, so that the first guest doesn't pay for the disk."""
    images = pathlib.Path("build/images")
    for name in ("vmlinux", "initramfs.cpio", "root.erofs"):
        with open(images / name, "rb") as image:
            while image.read(MIB):
                pass


def main():
    bench = Bench(sys.argv[1:])
    warm_up()
    status = 0
    try:
        bench.run()
    except GuestFailed as why:
        print(f"nested: {why}", file=sys.stderr)
        status = 1
    out = pathlib.Path(os.environ["TESTBED_OUT"])
    (out / "samples.json").write_text(json.dumps(bench.samples))
    return status


if __name__ == "__main__":
    sys.exit(main())
