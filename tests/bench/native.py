# SPDX-License-Identifier: GPL-2.0-or-later
"""native.py - benchmarks on this host itself: its own /dev/kvm with a guest in ring 3, and no
guest at all. Each function takes a Tools and returns (samples, yardstick samples)."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import typing

GUEST_MIB = 512
STARTS = 100
SHOTS = 200
NS_PER_MS = 1e6


class Tools(typing.NamedTuple):
    bin: pathlib.Path   # the programs of this folder, built
    tree: pathlib.Path


def explain(why):
    said = getattr(why, "stderr", None)
    return f"{why}; {said.decode(errors='replace').strip()}" if said else str(why)


@contextlib.contextmanager
def sealed_template(tools):
    """The floor's guest: a memfd, as a session's template would be."""
    size = GUEST_MIB << 20
    fd = os.memfd_create("template", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, size)
        subprocess.run([tools.bin / "floor", "prepare", str(fd), str(size)], pass_fds=[fd],
                       check=True, stderr=subprocess.PIPE)
        yield fd, size
    finally:
        os.close(fd)


def start_floor(tools, fd, size):
    out = subprocess.run([tools.bin / "stamp", tools.bin / "floor", "run", str(fd), str(size)],
                         pass_fds=[fd], check=True, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE).stdout
    exec_ns, _opened_ns, exit_ns = (int(word) for word in out.split())
    return (exit_ns - exec_ns) / NS_PER_MS


def start_vmm(tools):
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as name:
        folder = pathlib.Path(name)
        out = subprocess.run([tools.bin / "stamp", tools.tree / "build/bin/cloche-vmm", "--ring3",
                              "--kernel", tools.bin / "guest", "--memory", f"{GUEST_MIB}M",
                              "--console", folder / "console", "--control", folder / "control",
                              "--vsock", folder / "vsock", "--report", folder / "report"],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
        report = json.loads((folder / "report").read_text())
    return (report["first_exit_ns"] - int(out)) / NS_PER_MS


def start_vs_floor(tools):
    with sealed_template(tools) as (fd, size):
        start_floor(tools, fd, size)  # both once for the page cache
        start_vmm(tools)
        pairs = [(start_vmm(tools), start_floor(tools, fd, size)) for _ in range(STARTS)]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def shots(tools, kind):
    out = subprocess.run([tools.bin / "shot", tools.tree / "tests/bench/data/page.png", str(SHOTS),
                          kind], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    rows = [line.split() for line in out.splitlines()]
    return [float(r[0]) / 1e3 for r in rows], [float(r[1]) / 1e3 for r in rows]


def shot_page(tools):
    return shots(tools, "page")


def shot_noise(tools):
    return shots(tools, "noise")
