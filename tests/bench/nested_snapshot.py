# SPDX-License-Identifier: GPL-2.0-or-later
"""nested_snapshot.py - sessions from a template, as a user starts them: by the program cloche.

What a session costs (private): of its mappings of the template and of the root image what it has
written to (Anonymous), of all others what is its own (Private_Clean, Private_Dirty); guest memory that
the template has no page for is among them. The template itself is all sessions' and isn't counted.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from guests import IMAGES, STAGE_LIMIT_S, TREE, GuestFailed, QemuGuest

IDS = ("e2e.template_vs_cold", "e2e.restore_vs_qemu", "e2e.private", "e2e.density")
PROCESSORS = 1
TEMPLATE_STARTS = 5
COLD_STARTS = 2
QEMU_LOADS = 3
SESSIONS_MAX = 30
SESSIONS_A_SAMPLE = 10
AVAILABLE_MIN_MIB = 1024
MIB = 1 << 20
# Stays while the emulated machine does: a module that is begun anew has its template.
FOLDER = pathlib.Path(tempfile.gettempdir()) / "bench-sessions"


def cloche(*words):
    done = subprocess.run([TREE / "build/bin/cloche", "--json", *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          env=dict(os.environ, XDG_RUNTIME_DIR=str(FOLDER),
                                   XDG_CACHE_HOME=str(FOLDER / "cache")))
    if done.returncode:
        raise GuestFailed(f"cloche {' '.join(map(str, words))}: "
                          f"{(done.stdout + done.stderr).decode(errors='replace')[-1000:]}")
    return done.stdout


def bake():
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    template = FOLDER / "cache/cloche/templates/default.snap"
    if not template.exists():
        begun = time.monotonic()
        cloche("bake")
        print(f"  baked in {time.monotonic() - begun:.0f} s: a file of "
              f"{template.stat().st_size / MIB:.0f} MiB", file=sys.stderr, flush=True)


@contextlib.contextmanager
def session(name, cold=False):
    """A session that has taken its first picture: (s to the agent, s to the picture)."""
    try:
        begun = time.monotonic()
        cloche("run", name, "--timeout", STAGE_LIMIT_S, *(["--cold"] if cold else
                                                          ["--template", "default"]))
        agent = time.monotonic() - begun
        if cold:
            cloche("wait", name, "--for", "browser", "--timeout", STAGE_LIMIT_S)
        cloche("shot", name, FOLDER / "picture.png")
        yield agent, time.monotonic() - begun
    finally:
        with contextlib.suppress(GuestFailed):
            cloche("kill", name)


def pid_of(name):
    control = socket.socket(socket.AF_UNIX)
    with control:
        control.connect(str(FOLDER / "cloche" / name / "control.sock"))
        control.sendall(b'{"id":1,"verb":"status"}\n')
        with control.makefile("rb") as replies:
            return json.loads(replies.readline())["pid"]


def private_bytes(pid):
    image = str((IMAGES / "root.erofs").resolve())
    total, shared = 0, False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            path = words[5] if len(words) > 5 else ""
            shared = path == image or "/.templates/" in path
        elif words[0] in (("Anonymous:",) if shared else ("Private_Clean:", "Private_Dirty:")):
            total += int(words[1]) << 10
    return total


def memory_mib(figure):
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name == figure:
            return int(value.split()[0]) / 1024
    raise ValueError(figure)


def missing(bench, name, side, count):
    """How many samples are still to be taken."""
    return range(len(bench.samples[name][side]) if bench.wants(name) else count, count)


def measure_starts(bench):
    """Sessions from the template and cold ones; their memory and their agents, too, if asked for."""
    for side, count in ((1, COLD_STARTS), (0, TEMPLATE_STARTS)):
        names = [name for name in ("e2e.template_vs_cold", "e2e.private") if bench.wants(name)]
        if side == 0 and bench.wants("e2e.restore_vs_qemu"):
            names.append("e2e.restore_vs_qemu")
        if side == 1 and bench.wants("e2e.density"):
            names.append("e2e.density")
        taken = min((len(bench.samples[name][side]) for name in names), default=count)
        for index in range(taken, count):
            name = f"start{side}{index}"
            available = memory_mib("MemAvailable")
            with session(name, cold=side == 1) as (agent, picture):
                bench.note("e2e.template_vs_cold", side, picture)
                bench.note("e2e.private", side, private_bytes(pid_of(name)) / MIB)
                if side == 0:
                    bench.note("e2e.restore_vs_qemu", side, agent)
                else:
                    bench.note("e2e.density", side, available - memory_mib("MemAvailable"))


# --- QEMU -------------------------------------------------------------------------------------


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.connect(path)
        self.socket.settimeout(STAGE_LIMIT_S)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.call("qmp_capabilities")

    def connect(self, path):
        """QEMU listens before it does anything else."""
        deadline = time.monotonic() + STAGE_LIMIT_S
        while True:
            try:
                self.socket.connect(str(path))
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise GuestFailed("QEMU doesn't listen for QMP") from None
                time.sleep(0.005)

    def call(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        for line in self.lines:
            message = json.loads(line)
            if "error" in message:
                raise GuestFailed(f"{command}: {message['error']}")
            if "return" in message:
                return message["return"]
        raise GuestFailed(f"{command}: QEMU is gone")

    def await_running(self):
        while self.call("query-status")["status"] != "running":
            time.sleep(0.02)

    def save(self, path):
        self.call("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.call("migrate", uri=f"exec:cat > {path}")
        while True:
            status = self.call("query-migrate")["status"]
            if status == "completed":
                return
            if status in ("failed", "cancelled"):
                raise GuestFailed(f"migrate: {status}")
            time.sleep(0.2)


def qemu(bench, folder, cid, *options):
    bench.next_cid = max(bench.next_cid, cid + 1)
    return QemuGuest(folder, cid, *options)


def save_qemu(bench, folder):
    """Chromium is up in it, and files are out of its memory, as in the template."""
    cid = bench.next_cid
    guest = qemu(bench, folder, cid, "-qmp", f"unix:{folder}/qmp,server=on,wait=off")
    try:
        guest.wait("browser")
        guest.agent_call({"verb": "tidy"})
        Qmp(folder / "qmp").save(folder / "saved")
    finally:
        guest.end()
    print(f"  QEMU saved {(folder / 'saved').stat().st_size / MIB:.0f} MiB", file=sys.stderr, flush=True)
    return cid


def measure_qemu(bench):
    """From exec until QEMU says that the guest runs. Its agent, which connects anew to whoever loads it,
    takes longer: that is told, not counted."""
    if not missing(bench, "e2e.restore_vs_qemu", 1, QEMU_LOADS):
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        cid = save_qemu(bench, folder)
        for index in missing(bench, "e2e.restore_vs_qemu", 1, QEMU_LOADS):
            qmp = folder / f"qmp{index}"
            guest = qemu(bench, folder, cid, "-incoming", f"exec:cat {folder}/saved",
                         "-qmp", f"unix:{qmp},server=on,wait=off")
            try:
                Qmp(qmp).await_running()
                bench.note("e2e.restore_vs_qemu", 1, time.monotonic() - guest.started)
                guest.wait("agent")
                print(f"  QEMU's agent after {time.monotonic() - guest.started:.2f} s", file=sys.stderr,
                      flush=True)
            finally:
                guest.end()


# --- how many ---------------------------------------------------------------------------------


def measure_density(bench):
    """MiB of the machine's memory a session, the mean of each ten; prints how many would fit, which is
    computed from that."""
    if not bench.wants("e2e.density"):
        return
    bench.samples["e2e.density"][0].clear()
    with contextlib.ExitStack() as sessions:
        first = before = memory_mib("MemAvailable")
        up = 0
        while up < SESSIONS_MAX and memory_mib("MemAvailable") >= AVAILABLE_MIN_MIB:
            sessions.enter_context(session(f"many{up}"))
            up += 1
            if up % SESSIONS_A_SAMPLE == 0:
                now = memory_mib("MemAvailable")
                bench.note("e2e.density", 0, (before - now) / SESSIONS_A_SAMPLE)
                before = now
        cost = (first - memory_mib("MemAvailable")) / up
        own = sorted(private_bytes(pid_of(f"many{index}")) / MIB for index in range(up))
        print(f"  {up} sessions up, {cost:.1f} MiB each, {own[0]:.1f} to {own[-1]:.1f} of it their own; "
              f"computed: {first / cost:.0f} fit into the {first:.0f} MiB that were available", file=sys.stderr, flush=True)


def measure(bench):
    bake()
    measure_starts(bench)
    measure_qemu(bench)
    measure_density(bench)
