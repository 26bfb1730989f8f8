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
WATCHES = 5
SCANS = 1000
EXITS = 100           # a round of floor.c and cycles.c
EXIT_RUNS = 5
DESCRIPTORS = 2 * 20000  # a round of ring.c and cycles.c
QUEUE_RUNS = 5
RECORDINGS = 3
NS_PER_MS = 1e6
NS_PER_US = 1e3


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


def run_lines(*command, **options):
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         **options).stdout
    return out.decode().splitlines()


def time_in_guest(tools, what):
    """The ticks that cycles.c counts in a guest of ours."""
    with tempfile.TemporaryDirectory(prefix="cloche-bench-") as name:
        folder = pathlib.Path(name)
        lines = run_lines(tools.tree / "build/bin/cloche-vmm", "--ring3", "--kernel",
                          tools.bin / "cycles", "--append", f"time={what}", "--memory", "64M",
                          "--vsock", folder / "vsock")
    if "guest: passed" not in lines:
        raise ValueError(f"the guest says: {lines[-3:]}")
    return [int(line.split()[1], 16) for line in lines if line.startswith("ticks ")]


def timed_lines(lines):
    """([ns], ticks a ns) of a program that prints both."""
    khz = next(int(line.split()[1]) for line in lines if line.startswith("khz "))
    return [int(line) for line in lines if line.isdigit()], khz / 1e6


def exit_cost(tools, what):
    ours, floor = [], []
    with sealed_template(tools) as (fd, size):
        for _ in range(EXIT_RUNS):
            ns, ticks_a_ns = timed_lines(run_lines(tools.bin / "floor", what, str(fd), str(size),
                                                   pass_fds=[fd]))
            floor += [n / EXITS / NS_PER_US for n in ns]
            ours += [ticks / ticks_a_ns / EXITS / NS_PER_US for ticks in time_in_guest(tools, what)]
    return ours, floor


def exit_read(tools):
    return exit_cost(tools, "read")


def exit_write(tools):
    return exit_cost(tools, "write")


def exit_notify(tools):
    return exit_cost(tools, "notify")


def queue_descriptors(tools):
    """Millions a second."""
    ours, floor = [], []
    for _ in range(QUEUE_RUNS):
        ns, ticks_a_ns = timed_lines(run_lines(tools.bin / "ring"))
        floor += [DESCRIPTORS / n * 1e3 for n in ns]
        ours += [DESCRIPTORS * ticks_a_ns / ticks * 1e3 for ticks in time_in_guest(tools, "queue")]
    return ours, floor


def of_page(tools, program, rounds, kind):
    """Milliseconds that both sides took, each round; the programs print microseconds."""
    out = subprocess.run([tools.bin / program, tools.tree / "tests/bench/data/page.png", str(rounds),
                          kind], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    rows = [line.split() for line in out.splitlines()]
    return [float(r[0]) / 1e3 for r in rows], [float(r[1]) / 1e3 for r in rows]


def shots(tools, kind):
    return of_page(tools, "shot", SHOTS, kind)


def scan_tile(tools):
    return of_page(tools, "scan", SCANS, "tile")


def scan_all(tools):
    return of_page(tools, "scan", SCANS, "all")


def watch(tools, count, seconds, kind):
    """{"cpu", "bytes" or "us": (ours, the yardstick's)}, in turns."""
    found = {}
    for index in range(2 * count):
        side = index % 2
        out = subprocess.run([tools.bin / "watch", tools.tree / "tests/bench/data/page.png", str(seconds),
                              kind, ("tiles", "whole")[side]],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout
        for line in out.splitlines():
            name, value = line.split()
            found.setdefault(name, ([], []))[side].append(float(value))
    return found


def watch_idle_cpu(tools):
    return watch(tools, WATCHES, 5, "still")["cpu"]


def watch_busy_cpu(tools):
    return watch(tools, WATCHES, 10, "busy")["cpu"]


def vnc_bytes(tools):
    """MiB of a minute."""
    return tuple([value / (1 << 20) for value in side] for side in watch(tools, 1, 60, "busy")["bytes"])


def watch_input(tools):
    """Milliseconds."""
    return tuple([value / 1e3 for value in side] for side in watch(tools, 1, 50, "input")["us"])


def shot_page(tools):
    return shots(tools, "page")


def shot_noise(tools):
    return shots(tools, "noise")


def record_size(tools):
    """MB of a minute's recording, and of its changed frames as a PNG each."""
    ours, pngs = [], []
    for _ in range(RECORDINGS):
        size, png, _frames, _us = map(int, run_lines(
            tools.bin / "record", tools.tree / "tests/bench/data/page.png")[0].split())
        ours.append(size / 1e6)
        pngs.append(png / 1e6)
    return ours, pngs


def record_cost(tools):
    """Milliseconds of processor that recording a minute takes; encoding its frames isn't measured."""
    lines = [run_lines(tools.bin / "record", tools.tree / "tests/bench/data/page.png")[0].split()
             for _ in range(RECORDINGS)]
    return [int(line[3]) / 1e3 for line in lines], [60e3 for _ in lines]
