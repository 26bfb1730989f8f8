# SPDX-License-Identifier: GPL-2.0-or-later
"""Forks of running guests: trees of them, what they share and what they don't."""
import os
import signal
import socket
import threading
import time

import programs
from copies import Copy, are_apart, kill_all, scratch
from programs import cloche, vmm_processes
from harness import PATIENCE, check, contains, equal, test, wait_until

FREEZE_S = 30


@test
def a_tree_of_forks():
    """Three deep, three wide on the way down; each goes to a page of its own, the root doesn't move. Ten
    browsers would keep each other on the bed's one processor: who isn't looked at is frozen."""
    root = Copy("root")
    root.begin_from_template()
    root.open("/plain/root")
    before = root.agent("browser", op="state")["url"]
    family, parent = [root], root
    for _ in range(3):
        children, answer = parent.fork(*(f"{parent.name}{letter}" for letter in "abc"))
        equal(len(answer["sessions"]), 3, "the number of sessions")
        family += children
        for session in (parent, children[0], children[2]):
            cloche("freeze", session.name, status=0)
        parent = children[1]
    cloche("freeze", parent.name, status=0)
    pages, drawn = {}, set()
    for session in family:
        cloche("thaw", session.name, status=0)
        if session is not root:
            session.agent("browser", op="navigate",
                          url=f"http://127.0.0.1:8000/plain/{session.name}")
        drawn.add(session.random())
        pages[session.name] = session.agent("browser", op="state")["url"]
        cloche("freeze", session.name, status=0)
    equal(pages.pop(root.name), before, "the root's page")
    for name, url in pages.items():
        contains(url, f"/plain/{name}")
    generations = {session.status()["generation"] for session in family}
    equal(len(generations), len(family), "the number of generations")
    equal(len(drawn), len(family), "the number of different random bytes")
    equal(family[-1].status()["origin"]["kind"], "fork", "the origin")
    # The middle of the tree may go: the others are processes of their own.
    parent.kill()
    family.remove(parent)
    for session in (root, family[1], family[-1]):
        cloche("thaw", session.name, status=0)
        session.shell("true")
    kill_all(*family)


@test
def clones_are_apart():
    """A stream that was open stays the original's; the clone's is reset, and new ones work."""
    parent = Copy("stream")
    parent.begin_from_template()
    parent.shell("nohup perl -e '" + ECHO + "' >/dev/null 2>&1 &")
    stream, _ = connect(parent)
    stream.sendall(b"one\n")
    equal(stream.recv(100), b"one\n", "the echo")
    parent.shell("nohup perl -e '" + WATCH + "' >watched 2>&1 &")
    wait_until(lambda: "up" in parent.shell("cat watched"), "the stream that is to be reset")
    (clone, other), _ = parent.fork("stream-a", "stream-b")
    stream.sendall(b"two\n")
    equal(stream.recv(100), b"two\n", "the original's echo")
    stream.close()
    ports = set()
    for session in (clone, other):
        fresh, port = connect(session)
        ports.add(port)
        fresh.sendall(b"three\n")
        equal(fresh.recv(100), b"three\n", "the clone's echo")
        fresh.close()
    equal(len(ports), 2, "the host's ports of the clones' first streams")
    wait_until(lambda: "gone" in clone.shell("cat watched"), "the end of the clone's old stream")
    check("gone" not in parent.shell("cat watched"), "the original's stream was reset")
    are_apart(clone, other)
    are_apart(parent, clone)
    equal(len({s.status()["started_ns"] for s in (clone, other)}), 1, "the moments of the forks")
    kill_all(parent, clone, other)


# Listens on vsock port 5000 and sends back what comes.
ECHO = ("use Socket; socket(my $l, 40, SOCK_STREAM, 0); bind($l, pack(q(S S L L x4), 40, 0, 5000, 4294967295))"
        " or die; listen($l, 9); while (accept(my $c, $l)) { unless (fork) { while (sysread($c, my $b, 100))"
        " { syswrite($c, $b) } exit } }")
# Holds a stream to the host's port 8000 and says when it ends.
WATCH = ("use Socket; $| = 1; socket(my $s, 40, SOCK_STREAM, 0);"
         " connect($s, pack(q(S S L L x4), 40, 0, 8000, 2)) or die; print qq(up\\n);"
         " sysread($s, my $b, 1); print qq(gone\\n)")


def connect(session):
    """A stream to what listens in the guest, which it may not yet, and the host's port of it."""
    def try_it():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        sock.connect(session.path("vsock.sock"))
        sock.sendall(b"CONNECT 5000\n")
        line = b""
        while not line.endswith(b"\n"):
            piece = sock.recv(1)
            if not piece:
                return None
            line += piece
        return sock, int(line.split()[1])
    return wait_until(try_it, f"a stream to {session.name}")


@test
def the_clock_is_right():
    session = Copy("clock")
    session.begin_from_template()
    check(session.clock_error() < 1, f"after a restore it is {session.clock_error()} s off")
    cloche("freeze", session.name, status=0)
    time.sleep(FREEZE_S)
    cloche("thaw", session.name, status=0)
    check(session.clock_error() < 1, f"after {FREEZE_S} s of frost it is {session.clock_error()} s off")
    before = session.shell("cat /proc/uptime")
    session.shell("sleep 1")
    after = session.shell("cat /proc/uptime")
    check(float(after.split()[0]) - float(before.split()[0]) >= 0.99, "a timer was too early")
    session.kill()


@test
def all_or_nothing():
    parent, taken = Copy("whole"), Copy("taken")
    parent.begin_from_template()
    taken.begin_from_template()
    before = set(vmm_processes())
    contains(cloche("fork", parent.name, "new-a", "new-b", taken.name, status=1).error, "taken")
    for name in ("new-a", "new-b"):
        check(not os.path.exists(Copy(name).folder), f"{name} is left")
    equal(set(vmm_processes()), before, "the processes")
    contains(cloche("fork", parent.name, "same", "same", status=2).error, "same")
    contains(cloche("fork", "nobody", "new-a", status=3).error, "nobody")
    taken.shell("true")
    kill_all(parent, taken)


@test
def a_disk_that_may_be_written_is_not_copied():
    disk = scratch("disk.img")
    with open(disk, "wb") as file:
        file.truncate(1 << 20)
    session = Copy("disk")
    session.start("--disk", disk)
    contains(cloche("fork", session.name, "disk-copy", status=1).error, "disk")
    contains(cloche("snapshot", session.name, scratch("disk.snap"), status=1).error, "disk")
    check(not os.path.exists(scratch("disk.snap")), "there is a file")
    check(not os.path.exists(Copy("disk-copy").folder), "there is a session")
    session.shell("true")
    session.kill()


@test
def killed_while_forking():
    """The original dies in the midst: what was made is whole, what wasn't leaves nothing."""
    for _ in range(5):
        parent = Copy("mortal")
        parent.begin_from_template()
        pid = parent.facts()["pid"]
        killer = threading.Timer(0.05, os.kill, (pid, signal.SIGKILL))
        killer.start()
        result = cloche("--json", "fork", parent.name, "heir", limit=PATIENCE)
        killer.join()
        heir = Copy("heir")
        if result.status == 0:
            heir.shell("true")
            kill_all(heir)
        check(not os.path.exists(heir.folder), f"a folder is left, and fork said {result}")
        parent.kill()
    equal([words for words in vmm_processes().values() if "heir" in words], [], "processes of heirs")


@test
def kill_all_leaves_nothing():
    parent = Copy("last")
    parent.begin_from_template()
    parent.fork("last-a", "last-b")
    cloche("kill", "--all", status=0)
    equal(cloche("--json", "ls", status=0).json()["sessions"], [], "the sessions")
    wait_until(lambda: not vmm_processes(), "the end of all VMMs")
    left = [name for name in os.listdir(os.path.join(programs.RUNTIME, "cloche"))
            if not name.startswith(".")]
    equal(left, [], "the folders")
