# SPDX-License-Identifier: GPL-2.0-or-later
"""
clones.py - guests that know what they should be (guest/memory.c), their snapshots and their clones.

A clone looks at itself as soon as it runs; any other guest does when it is told by another balloon
target, for which it has no driver. What it finds is on its console.
"""
import json
import os
import signal
import socket
import typing

from vmm import GUEST, LIMIT_S, SANITIZED, VMM, Failure, Session, Vmm, await_true, expect

END_MIB = 1  # the balloon target that ends a guest; any other makes it look
LOOK_MIB = (2, 3)
PAGES_A_MIB = 256


class Look(typing.NamedTuple):
    """A line "verified …" of a guest."""
    seed: int
    generation: int  # its first half
    target: int      # pages
    turn: int


def looks(session):
    """All that a guest has found so far. What is broken is a failure."""
    text = session.console()
    expect("broken" not in text and "FAIL" not in text, f"the guest says:\n{text}")
    return [Look(*(int(word, 16) for word in line.split()[1:]))
            for line in text.splitlines() if line.startswith("verified ") and len(line) == 76]


def await_look(session, wanted, what):
    def there():
        return next((look for look in looks(session) if wanted(look)), None) or session.ended()

    found = await_true(there, what)
    if not isinstance(found, Look):
        # It may have looked and ended between the two.
        found = next((look for look in looks(session) if wanted(look)), None)
    expect(found, f"{what}: the VMM has ended:\n{session.console()}\n{session.stderr()}")
    return found


def look(session):
    """Has the guest look once more; what it found."""
    before = looks(session)
    target = next(mib for mib in LOOK_MIB
                  if not before or mib * PAGES_A_MIB != before[-1].target)
    session.client.ok("balloon", target_mib=target)
    return await_look(session, lambda look: look.target == target * PAGES_A_MIB and look not in before,
                      "a look")


def first_look(session):
    """A clone's; it must be in the generation that its VMM says it has."""
    text = session.client.ok("status")["generation"]
    generation = int.from_bytes(bytes.fromhex(text)[:8], "little")
    return await_look(session, lambda look: look.generation == generation, "a clone's first look")


def end(session):
    session.client.ok("balloon", target_mib=END_MIB)
    session.passes()


def is_gone(pid):
    """A process that waits for its parent to ask is still there, unless that is the system's first."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX" and parent == "1"


class Family(Session):
    """A session with a client that stays connected."""

    connected = None

    @property
    def client(self):
        if not self.connected:
            self.connected = self.control()
        return self.connected

    def hang_up(self):
        if self.connected:
            self.connected.close()
            self.connected = None


class Original(Vmm, Family):
    """A guest that was booted or restored, by this process."""

    def kill(self):
        self.hang_up()
        super().kill()


class Forked(Family):
    """A guest that another's VMM has made; its process is no child of this one."""

    def __init__(self, bed):
        super().__init__(bed)
        self.pid = None

    def order(self):
        """What the verb "fork" is told of it."""
        return {"name": os.path.basename(self.dir), "control": self.control_path,
                "vsock": self.path("vsock.sock"), "vnc": self.path("vnc.sock"),
                "report": self.path("report.json"),
                "console": self.path("console"), "log": self.path("stderr"), "ttl_s": 600}

    def stderr(self):
        return self.read("stderr") if os.path.exists(self.path("stderr")) else ""

    def ended(self):
        return not self.pid or is_gone(self.pid)

    def wait(self):
        """The exit status is known to its report alone."""
        await_true(self.ended, f"the end of process {self.pid}")
        expect(os.path.exists(self.path("report.json")), f"no report:\n{self.stderr()}")
        expect(not os.path.exists(self.path("vnc.sock")), "the viewers' socket stayed behind")
        return json.loads(self.read("report.json"))["status"]

    def kill(self):
        self.hang_up()
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            await_true(self.ended, f"the end of process {self.pid}")


def boot(bed, *arguments, memory="64M", seed=1, prefix=(), **words):
    """A guest whose memory is filled."""
    append = " ".join(f"{name}={value}" for name, value in {"seed": seed, **words}.items())
    session = Original(bed, ["--ring3", "--kernel", GUEST, "--memory", memory,
                             "--append", f"test=pattern {append}", *arguments], prefix=prefix)
    session.await_console("ready")
    return session


def restore(bed, path, mode=None, *arguments):
    return Original(bed, ["--restore", path, *(["--restore-mode", mode] if mode else []),
                          "--templates", templates(bed), *arguments])


def templates(bed):
    os.makedirs(bed.path("templates"), mode=0o700, exist_ok=True)
    return bed.path("templates")


def fork(bed, parent, count=1):
    children = [Forked(bed) for _ in range(count)]
    reply = parent.client.ok("fork", children=[child.order() for child in children])
    expect(len(reply["pids"]) == count, f"{reply}")
    for child, pid in zip(children, reply["pids"]):
        child.pid = pid
    return children


class Writing:
    """A snapshot that is being written."""

    def __init__(self, session, path, parent=None):
        ours, theirs = socket.socketpair()
        with theirs:
            session.client.request("snapshot", fds=[theirs.fileno()], path=path,
                                   **({"parent": parent} if parent else {}))
        self.lines = ours.makefile("r", encoding="utf-8")
        ours.settimeout(LIMIT_S)
        ours.close()  # the file keeps it
        self.reply = session.client.receive()
        expect(self.reply is not None, "snapshot: the connection was closed")

    def end(self):
        """The writer's last word, or None if it was killed; its process is gone then."""
        last = None
        with self.lines:
            for line in self.lines:
                said = json.loads(line)
                expect(last is None, f"{said} after {last}")
                last = said if "ok" in said else None
        if self.reply["ok"]:
            pid = self.reply["pid"]
            await_true(lambda: is_gone(pid), f"the end of writer {pid}")
        return last


def snapshot(session, path, parent=None):
    writing = Writing(session, path, parent)
    expect(writing.reply["ok"], f"snapshot: {writing.reply}")
    last = writing.end()
    expect(last and last["ok"] and last["id"] == writing.reply["snapshot"], f"the writer says {last}")
    return last


def processes(bed):
    """Those that have something of the bed's on their command line: all its VMMs and writers."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            continue
        if words[0] == VMM.encode() and any(bed.dir.encode() in word for word in words):
            found.append(int(name))
    return found


def await_resources(pid, wanted):
    """A process comes to hold what it is to hold."""
    try:
        await_true(lambda: resources(pid) == wanted, "resources")
    except Failure:
        raise Failure(f"process {pid} holds {resources(pid)}, not {wanted}") from None


def resources(pid):
    """What a process holds: descriptors, mappings (but for those that a sanitizer makes), children."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        mappings = 0 if SANITIZED else len(maps.readlines())
    children = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            children += file.read().split()
    return len(os.listdir(f"/proc/{pid}/fd")), mappings, children
