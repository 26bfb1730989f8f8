# SPDX-License-Identifier: GPL-2.0-or-later
"""nested_boot.py - how long until a guest can be used, and what its VMM needs for itself."""

import time

IDS = ("boot.ready_vs_qemu", "vmm.own_memory")
PROCESSORS = 2
BOOTS = 5
MEMORIES = 3
MIB = 1 << 20


def measure(bench):
    boots = BOOTS if bench.wants("boot.ready_vs_qemu") else 0
    memories = MEMORIES if bench.wants("vmm.own_memory") else 0
    for index, side in bench.turns(max(boots, memories)):
        with bench.guest(side) as guest:
            if index < boots:
                bench.note("boot.ready_vs_qemu", side, time.monotonic() - guest.started)
            if index < memories:
                guest.wait("browser")
                guest.settle()
                bench.note("vmm.own_memory", side, guest.own_memory() / MIB)
