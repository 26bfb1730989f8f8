# SPDX-License-Identifier: GPL-2.0-or-later
"""Templates and snapshot files of real guests. Behind all tests whose sessions boot: from the first one
here on there is a template."""
import os
import random
import shutil
import signal
import time

import programs
from copies import BAKE_LIMIT, Copy, are_apart, kill_all, leaves_only, scratch, template_file
from programs import cloche, vmm
from harness import PATIENCE, check, contains, equal, test, wait_until

KILLS = 50
ROUNDS = 10
FIRST = (130, 180)  # in the first field of the test page


@test
def bake_makes_a_template():
    # Nobody needs the guests that the tests before this one share, and their browsers take time.
    cloche("kill", "--all")
    cold = Copy("cold")
    check(not os.path.exists(template_file("snap")), "there is a template already")
    answer = cloche("--json", "bake", status=0, limit=BAKE_LIMIT).json()
    equal(answer["template"], "default", "the template's name")
    equal(os.stat(template_file("snap")).st_mode & 0o777, 0o600, "the file's mode")
    check(answer["file_bytes"] < 120 << 20, f"it takes {answer['file_bytes']} bytes")
    equal([s["name"] for s in cloche("--json", "ls", status=0).json()["sessions"]
           if s["name"].startswith("bake")], [], "the sessions of the bake")
    answer = cold.start("--cold").json()
    check("template" not in answer, f"--cold says {answer}")
    equal(cold.status()["origin"], {"kind": "boot"}, "the origin of a cold boot")
    cold.kill()


@test
def run_starts_from_the_template():
    one, two = Copy("one"), Copy("two")
    for session in (one, two):
        session.begin_from_template()
        equal(session.status()["origin"]["kind"], "restore", "the origin")
        equal(session.agent("browser", op="state")["url"], "about:blank", "the page")
        check(session.hash(), "no picture")
        session.open_page()
    are_apart(one, two)
    # Each has sockets and a relay of its own, and the page of each is its own.
    check(one.path("control.sock") != two.path("control.sock"), "one socket for both")
    kill_all(one, two)


@test
def typed_text_is_there_in_each_mode():
    """A page typed into, cursor and all; and each copy goes on by itself."""
    origin = Copy("origin")
    origin.begin_from_template()
    origin.open_page()
    origin.act("left_click", coordinate=origin.at(*FIRST))
    origin.type("before", "before")
    origin.settle()
    asleep = origin.shell("(sleep 20; echo woke >woken) >/dev/null 2>&1 & echo $!").strip()
    cloche("freeze", origin.name, status=0)
    picture = origin.hash()
    file = scratch("typed.snap")
    origin.snapshot(file)
    equal(origin.status()["state"], "paused", "the original's state")
    cloche("thaw", origin.name, status=0)
    contains(cloche("verify", file, status=0).out.decode(), "sound")
    contains(cloche("inspect", file, status=0).out.decode(), "origin")
    for mode in ("template", "lazy", "eager"):
        copy = Copy(f"in-{mode}")
        copy.loaded = origin.loaded
        copy.restore(file, mode)
        copy.shows(picture, f"the picture of the original in mode {mode}")
        equal(copy.status()["origin"]["mode"], mode, "the mode")
        copy.type(" after", "before after")
        copy.shell(f"kill -0 {asleep}")
        check(copy.clock_error() < 1, f"the clock is {copy.clock_error()} s off")
        wait_until(lambda c=copy: "woke" in c.shell("cat woken 2>/dev/null || true"),
                   "the end of a sleep that began before the snapshot")
        if mode == "lazy":
            with copy.control() as control:
                check(control.call("wait", **{"for": "loaded", "timeout_ms": PATIENCE * 1000})["ok"],
                      "its memory is never whole")
            copy.type("!", "before after!")
        copy.kill()
    origin.type(".", "before.")
    origin.kill()


@test
def a_chain_of_differences():
    origin = Copy("chain")
    origin.begin_from_template()
    files = [scratch(f"chain{i}.snap") for i in range(3)]
    sizes = []
    for i, file in enumerate(files):
        origin.shell(f"head -c 3000000 /dev/urandom >piece{i}; sha256sum piece{i} >>sums")
        parent = ("--parent", files[i - 1]) if i else ()
        sizes.append(origin.snapshot(file, *parent).json()["file_bytes"])
    check(sizes[1] < sizes[0] and sizes[2] < sizes[0], f"the differences are no smaller: {sizes}")
    cloche("verify", files[2], status=0)
    last, first = Copy("last"), Copy("first")
    last.restore(files[2])
    last.shell("sha256sum --check --quiet sums && test -e piece2")
    first.restore(files[0], "eager")
    first.shell("sha256sum --check --quiet sums && test ! -e piece1")
    are_apart(first, last)
    kill_all(origin, first, last)
    # Without its parents a difference is nothing.
    os.rename(files[0], files[0] + ".away")
    contains(cloche("verify", files[2], status=2).error, "chain0.snap")
    os.rename(files[0] + ".away", files[0])


@test
def ten_times_saved_and_restored():
    session = Copy("turn0")
    session.begin_from_template()
    for turn in range(ROUNDS):
        session.shell(f"echo {turn} >>turns")
        file = scratch(f"turn{turn % 2}.snap")
        session.snapshot(file)
        session.kill()
        session = Copy(f"turn{turn + 1}")
        session.restore(file, ("eager", "lazy", "template")[turn % 3])
    equal(session.shell("cat turns").split(), [str(turn) for turn in range(ROUNDS)], "the turns")
    session.kill()


@test
def two_cpus():
    session = Copy("pair")
    session.start("--cold", "--cpus", "2", *session.relay())
    session.shell("nohup sh -c 'while :; do :; done' >/dev/null 2>&1 &"
                  "nohup sh -c 'while :; do :; done' >/dev/null 2>&1 &")
    (fork,), _ = session.fork("pair-fork")
    file = scratch("pair.snap")
    fork.snapshot(file)
    restored = Copy("pair-back")
    restored.restore(file)
    for copy in (session, fork, restored):
        equal(copy.shell("nproc").strip(), "2", f"{copy.name}'s CPUs")
        equal(copy.shell("taskset -c 1 echo there").strip(), "there", "the second CPU")
    are_apart(fork, restored)
    kill_all(session, fork, restored)


@test
def killed_while_saving():
    """50 times the writer, or the VMM, is killed in the midst: the file is a whole one each time, and
    there is nothing beside it."""
    chance = random.Random(5)
    folder = scratch("killed")
    os.mkdir(folder)
    file = os.path.join(folder, "file.snap")
    session = Copy("victim0")
    session.begin_from_template()
    session.snapshot(file)
    cloche("verify", file, status=0)
    whole = version(file)
    for turn in range(KILLS):
        writer_only = turn % 10 != 9
        with session.control() as control:
            ours, theirs = os.pipe()
            reply = snapshot_request(control, file, theirs)
            os.close(theirs)
            time.sleep(chance.random() * 2)  # the bed's writer takes about as long
            pid = reply["pid"] if writer_only else session.facts()["pid"]
            kill_if_there(pid)
            while os.read(ours, 65536):
                pass
            os.close(ours)
        wait_until(lambda p=reply["pid"]: not os.path.exists(f"/proc/{p}/exe"), "the writer's end")
        if version(file) != whole:  # one more was written before the kill
            cloche("verify", file, status=0)
            whole = version(file)
        leftover = [name for name in os.listdir(folder) if name != "file.snap"]
        if leftover:  # between link and rename: the next one takes it away
            session.snapshot(file)
            whole = None
        leaves_only(folder, ["file.snap"])
        if not writer_only:
            session.kill()
            session = Copy(f"victim{turn + 1}")
            session.begin_from_template()
    session.snapshot(file)
    copy = Copy("survivor")
    copy.restore(file)
    kill_all(session, copy)
    leaves_only(folder, ["file.snap"])


def version(file):
    """Changes when another file takes its place."""
    status = os.stat(file)
    return status.st_ino, status.st_mtime_ns, status.st_size


def snapshot_request(control, file, fd):
    import array  # pylint: disable=import-outside-toplevel
    import json  # pylint: disable=import-outside-toplevel
    import socket  # pylint: disable=import-outside-toplevel
    control.number += 1
    request = {"id": control.number, "verb": "snapshot", "path": file}
    control.sock.sendmsg([json.dumps(request).encode() + b"\n"],
                         [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    reply = control.receive()
    check(reply["ok"], f"snapshot: {reply}")
    return reply


def kill_if_there(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@test
def files_that_are_none():
    session = Copy("refused")
    for file, why in ((os.path.realpath(programs.image("vmlinux")), "no snapshot"),
                      (programs.image("vmlinux"), "symbolic link"), (programs.RUNTIME, "regular file"),
                      (scratch("missing.snap"), "No such file")):
        contains(session.restore(file, status=2).json()["error"]["message"], why)
        check(not os.path.exists(session.folder), "a folder is left")
    damaged = scratch("damaged.snap")
    shutil.copy(template_file("snap"), damaged)
    with open(damaged, "r+b") as opened:
        opened.seek(-100, os.SEEK_END)
        opened.write(b"damage")
    contains(cloche("verify", damaged, status=2).error, "damaged.snap")
    session.restore(damaged, status=2)
    equal(vmm("--verify", damaged).status, 2, "the VMM's status")
    os.unlink(damaged)
