# SPDX-License-Identifier: GPL-2.0-or-later
"""native_copies.py - what a copy of a guest costs: restores, forks, snapshots.

The guest is touched.c: 1 GiB of memory, 700 MiB of it written to, half of which can be compressed
(to a fifth) and half can't, then a loop of writes to a port; so a copy's first exit comes at once. It
occupies a processor all the time, while its copies start, too. Each function takes a Tools and
returns (samples, yardstick samples).

Floors: "floor run", a program that makes a VM over a private mapping of a memfd with as much in it,
and "floor fork", which holds as much on huge pages and no VM, is copied by fork(2), and whose child
makes one.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from native import NS_PER_MS, NS_PER_US

MEMORY_MIB = 1024
TOUCHED_MIB = 700
COPIES = 100
WHOLES = 10  # restores to all pages, files written: seconds each
GROUPS = 20
FORK_MAX = 50  # clones asked for in one request
LIMIT_S = 120
MIB = 1 << 20
GB = 1e9


def wait_for(condition, what):
    deadline = time.monotonic() + LIMIT_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ValueError(f"{what}: not within {LIMIT_S} s")
        time.sleep(0.001)


class Control:
    """A client of a VMM's control socket."""

    def __init__(self, path):
        def connect():
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError:
                connection.close()
                return None
            return connection

        self.socket = wait_for(connect, str(path))
        self.socket.settimeout(LIMIT_S)
        self.replies = self.socket.makefile("rb")

    def call(self, verb, fds=(), **members):
        line = json.dumps({"id": 1, "verb": verb, **members}).encode() + b"\n"
        socket.send_fds(self.socket, [line], list(fds))
        reply = json.loads(self.replies.readline() or b'{"ok":false,"error":"closed"}')
        if not reply["ok"]:
            raise ValueError(f"{verb}: {reply['error']}")
        return reply

    def close(self):
        self.replies.close()
        self.socket.close()


def read_report(path):
    """A VMM's last word, waited for."""
    def there():
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None

    report = wait_for(there, str(path))
    if report["reason"] != "shutdown" and report["reason"] != "quit":
        raise ValueError(f"{path}: {report}")
    return report


def files(folder):
    """Where a VMM has its things."""
    folder.mkdir()
    return {name: str(folder / name) for name in ("control", "vsock", "report", "console")}


def private_kib(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


class Original:
    """The guest, filled, and what is made of it, in a folder of its own. Its file is on a tmpfs where
    there is one: what is measured is no disk."""

    def __init__(self, tools, *words):
        self.tools = tools
        self.temporary = tempfile.TemporaryDirectory(
            prefix="cloche-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.folder = pathlib.Path(self.temporary.name)
        self.made = 0
        (self.folder / "templates").mkdir(mode=0o700)
        paths = files(self.folder / "original")
        self.process = subprocess.Popen(
            [tools.tree / "build/bin/cloche-vmm", "--ring3", "--kernel", tools.bin / "touched",
             "--memory", f"{MEMORY_MIB}M", "--append", " ".join([f"mib={TOUCHED_MIB}", *words]),
             *self.options(paths)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.control = Control(paths["control"])
        console = pathlib.Path(paths["console"])
        wait_for(lambda: console.exists() and "ready" in console.read_text(), "the guest's memory")

    @staticmethod
    def options(paths):
        return [word for name, path in paths.items() for word in (f"--{name}", path)]

    def next_folder(self):
        self.made += 1
        return self.folder / f"copy{self.made}"

    def fork(self, count=1):
        """[(pid, paths)] and the pause in ns, of the longest if it takes several requests."""
        made, pause_us = [], 0
        for begin in range(0, count, FORK_MAX):
            children = []
            for _ in range(begin, min(count, begin + FORK_MAX)):
                folder = self.next_folder()
                children.append(dict(files(folder), name=folder.name, log=str(folder / "log")))
            reply = self.control.call("fork", children=children)
            made += zip(reply["pids"], children)
            pause_us = max(pause_us, reply["pause_us"])
        return made, pause_us * NS_PER_US

    def save(self):
        """A snapshot: (path, reply, the writer's last word)."""
        path = self.folder / "snapshot"
        ours, theirs = socket.socketpair()
        with theirs:
            reply = self.control.call("snapshot", fds=[theirs.fileno()], path=str(path))
        with ours, ours.makefile("r") as lines:
            last = json.loads(lines.read().splitlines()[-1])
        if not last["ok"]:
            raise ValueError(f"snapshot: {last}")
        return path, reply, last

    def restore_command(self, mode, paths):
        return [self.tools.bin / "stamp", self.tools.tree / "build/bin/cloche-vmm",
                "--restore", self.folder / "snapshot", "--restore-mode", mode,
                "--templates", self.folder / "templates", *self.options(paths)]

    @contextlib.contextmanager
    def restored(self, mode):
        """(ns of the exec, control) of a session from the snapshot; quits it."""
        paths = files(self.next_folder())
        process = subprocess.Popen(
            self.restore_command(mode, paths), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        try:
            control = Control(paths["control"])
            yield int(process.stdout.readline()), control
            control.call("quit")
            control.close()
            process.wait(LIMIT_S)
        finally:
            process.kill()
            process.communicate()

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.control.close()
        self.temporary.cleanup()


@contextlib.contextmanager
def original(tools, *words):
    guest = Original(tools, *words)
    try:
        yield guest
    finally:
        guest.end()


@contextlib.contextmanager
def floor_template(tools):
    """floor's guest in a memfd of which as much is written to."""
    fd = os.memfd_create("template", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, MEMORY_MIB * MIB)
        subprocess.run([tools.bin / "floor", "prepare", str(fd), str(MEMORY_MIB * MIB)],
                       pass_fds=[fd], check=True, stderr=subprocess.PIPE)
        for mib in range(4, 4 + TOUCHED_MIB):
            os.pwrite(fd, b"\1" * MIB, mib * MIB)
        yield fd
    finally:
        os.close(fd)


def floor_restore(tools, fd):
    out = subprocess.run([tools.bin / "stamp", tools.bin / "floor", "run", str(fd),
                          str(MEMORY_MIB * MIB)], pass_fds=[fd], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    exec_ns, _opened_ns, exit_ns = (int(word) for word in out.split())
    return (exit_ns - exec_ns) / NS_PER_MS


class FloorFork:
    """Called, it is copied: (ms of the fork, ms to the child's first exit, the child's private KiB)."""

    def __init__(self, tools):
        self.process = subprocess.Popen(
            [tools.bin / "floor", "fork", str(TOUCHED_MIB), str(MEMORY_MIB * MIB)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        fork_ns, exit_ns, kib = (int(word) for word in self.process.stdout.readline().split())
        return fork_ns / NS_PER_MS, exit_ns / NS_PER_MS, kib

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def floor_fork(tools):
    floor = FloorFork(tools)
    try:
        floor()
        yield floor
    finally:
        floor.end()


# --- restores -------------------------------------------------------------------------------


@contextlib.contextmanager
def saved(tools, *words):
    """The guest's file, and no guest: one processor less is busy."""
    with original(tools, *words) as guest:
        guest.save()
        guest.control.call("quit")
        guest.process.wait(LIMIT_S)
        yield guest


def first_exit_ms(guest, mode):
    """Of one that ends by itself; nobody asks it anything meanwhile."""
    paths = files(guest.next_folder())
    out = subprocess.run(guest.restore_command(mode, paths), check=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    report = read_report(pathlib.Path(paths["report"]))
    return (report["first_exit_ns"] - int(out)) / NS_PER_MS


def restore(tools, mode):
    with saved(tools, "then=leave") as guest, floor_template(tools) as fd:
        first_exit_ms(guest, mode)  # both once: the page cache, and the template is made
        floor_restore(tools, fd)
        pairs = [(first_exit_ms(guest, mode), floor_restore(tools, fd)) for _ in range(COPIES)]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def restore_template(tools):
    return restore(tools, "template")


def restore_lazy(tools):
    return restore(tools, "lazy")


def loaded_ms(guest, mode):
    """From exec until all of its memory is there."""
    with guest.restored(mode) as (exec_ns, control):
        control.call("wait", **{"for": "loaded", "timeout_ms": LIMIT_S * 1000})
        return (time.monotonic_ns() - exec_ns) / NS_PER_MS


def restore_lazy_all(tools):
    with saved(tools) as guest:
        pairs = [(loaded_ms(guest, "lazy"), loaded_ms(guest, "eager")) for _ in range(WHOLES)]
    return [p[0] for p in pairs], [p[1] for p in pairs]


# --- forks ----------------------------------------------------------------------------------


def forks(tools, ours, floors):
    """COPIES of ours(guest) and floors(figures of the floor), in turns."""
    with original(tools, "then=leave") as guest, floor_fork(tools) as floor:
        ours(guest)
        pairs = [(ours(guest), floors(floor())) for _ in range(COPIES)]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def await_reports(made):
    return [read_report(pathlib.Path(paths["report"])) for _, paths in made]


def fork_pause(tools):
    def pause(guest):
        made, pause_ns = guest.fork()
        await_reports(made)
        return pause_ns / NS_PER_MS

    return forks(tools, pause, lambda figures: figures[0])


def span_ms(reports):
    """From the moment at which the original was first stopped to the last first exit."""
    begun = min(report["started_ns"] for report in reports)
    return (max(report["first_exit_ns"] for report in reports) - begun) / NS_PER_MS


def fork_first_exit(tools):
    return forks(tools, lambda guest: span_ms(await_reports(guest.fork()[0])),
                 lambda figures: figures[1])


def snapshot_pause(tools):
    """The writer goes on for seconds after the pause, and is killed: what it writes isn't asked for."""
    def pause(guest):
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                reply = guest.control.call("snapshot", fds=[theirs.fileno()],
                                           path=str(guest.folder / "snapshot"))
            os.kill(reply["pid"], signal.SIGKILL)
            while ours.recv(65536):
                pass
        return reply["pause_us"] * NS_PER_US / NS_PER_MS

    return forks(tools, pause, lambda figures: figures[0])


def copy_memory(source, target):
    """GB/s of one core that copies the touched memory to a file on the tmpfs."""
    begun = time.monotonic_ns()
    with open(target, "wb", buffering=0) as file:
        for start in range(0, len(source), MIB):
            file.write(source[start:start + MIB])
    speed = len(source) / (time.monotonic_ns() - begun)
    os.unlink(target)
    return speed


def snapshot_write(tools):
    """GB/s of touched memory, by the writer's own clock; prints what became of it."""
    ours, floor = [], []
    with original(tools) as guest:
        source = memoryview(bytearray(b"\1" * (TOUCHED_MIB * MIB)))
        for _ in range(WHOLES):
            _, _, last = guest.save()
            ours.append(TOUCHED_MIB * MIB / GB / (last["elapsed_ms"] / 1e3))
            floor.append(copy_memory(source, guest.folder / "copy"))
        print(f"  snapshot: {last['file_bytes'] / MIB:.0f} MiB, "
              f"{last['file_bytes'] / (TOUCHED_MIB * MIB):.2f} of what was touched; chunks: "
              f"{last['zero']} of zeros, {last['raw']} raw, {last['lz4']} lz4", file=sys.stderr,
              flush=True)
    return ours, floor


# --- clones ---------------------------------------------------------------------------------


def clone_private(tools):
    """MiB, at its first exit: it is asked as soon as its control socket answers."""
    ours, floor = [], []
    with original(tools) as guest, floor_fork(tools) as bare:
        for _ in range(COPIES):
            (pid, paths), = guest.fork()[0]
            control = Control(paths["control"])
            wait_for(lambda: "first_exit_ms" in control.call("status")["stages"], "a first exit")
            ours.append(private_kib(pid) / 1024)
            control.call("quit")
            control.close()
            read_report(pathlib.Path(paths["report"]))
            floor.append(bare()[2] / 1024)
    return ours, floor


def scale(tools, count):
    """ms a clone: from the original's stop to the last clone's first exit, by their number."""
    many, one = [], []
    with original(tools, "then=leave") as guest:
        for _ in range(GROUPS):
            one.append(span_ms(await_reports(guest.fork()[0])))
            many.append(span_ms(await_reports(guest.fork(count)[0])) / count)
    return many, one


def clone_scale_10(tools):
    return scale(tools, 10)


def clone_scale_100(tools):
    return scale(tools, 100)
