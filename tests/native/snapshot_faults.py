# SPDX-License-Identifier: GPL-2.0-or-later
"""
snapshot_faults.py - copies on a host that fails: no space, no descriptors, no memory, processes killed.

Whatever fails is told in one line; the guest that was to be copied runs on, what was there stays as it
was, and nothing else is left.
"""
import json
import os
import random
import resource
import signal
import socket
import time

from clones import (Forked, Writing, await_resources, boot, end, first_look, fork, is_gone, look, looks,
                    processes, resources, restore, snapshot, templates)
from vmm import SANITIZED, Failure, await_true, expect

KILLS = 50
MIB = 1 << 20
ENOUGH = 12  # descriptors: more than are missing in any step


def verified_id(bed, path):
    """The id of a file that must be good."""
    done = bed.run(["--verify", path])
    expect(done.returncode == 0, f"{done}")
    return json.loads(done.stdout)["id"]


def fails(session, path, text, parent=None):
    """A snapshot that can't be had, and says why: at once or when it is written."""
    writing = Writing(session, path, parent)
    last = writing.end() if writing.reply["ok"] else writing.reply
    expect(last and not last["ok"] and text in last["error"]["message"], f"{path}: {last}")


def on_a_full_disk(bed, mib, copied=None):
    """A folder, and the words before a command that find a tmpfs of that size there, which nobody else
    sees, perhaps with a file in it."""
    folder = bed.path("small")
    os.makedirs(folder, exist_ok=True)
    script = f'mount -t tmpfs -o size={mib}m,mode=700 none "{folder}"'
    if copied:
        script += f' && cp "{copied}" "{folder}/file"'
    return folder, ["unshare", "-m", "sh", "-c", f'{script} && exec "$0" "$@"']


def test_no_space_for_a_snapshot(bed):
    if os.geteuid() != 0:
        return "only root can mount a small file system"
    old = boot(bed, memory="4M")
    snapshot(old, bed.path("old"))
    end(old)
    folder, prefix = on_a_full_disk(bed, 8, bed.path("old"))
    parent = boot(bed, memory="32M", prefix=prefix)
    inside = f"/proc/{parent.pid}/root{folder}"
    with open(bed.path("old"), "rb") as file:
        content = file.read()
    for name in ("file", "new", "file"):
        fails(parent, os.path.join(folder, name), "No space left on device")
        expect(os.listdir(inside) == ["file"], f"there is {os.listdir(inside)}")
        with open(os.path.join(inside, "file"), "rb") as file:
            expect(file.read() == content, "the old file has changed")
    snapshot(parent, bed.path("elsewhere"))
    verified_id(bed, bed.path("elsewhere"))
    look(parent)
    end(parent)
    return None


def test_no_space_for_a_template(bed):
    if os.geteuid() != 0:
        return "only root can mount a small file system"
    parent = boot(bed, memory="32M")
    file = bed.path("file")
    snapshot(parent, file)
    end(parent)
    folder, prefix = on_a_full_disk(bed, 8)
    bed.refuses(["--restore", file, "--restore-mode", "template", "--templates", folder],
                "No space left on device", prefix)
    # And nothing stays that would be taken for the memory.
    left = ["sh", "-c", f'"$0" "$@" 2>/dev/null; ls -A "{folder}" >&2; exit 2']
    done = bed.run(["--restore", file, "--restore-mode", "template", "--templates", folder],
                   [*prefix, *left])
    expect(not [name for name in done.stderr.split() if not name.endswith(".lock")], f"{done}")
    return None


def test_file_size_limit(bed):
    """An error of the writer's, where the kernel would end it by a signal."""
    parent = boot(bed, memory="16M")
    folder = bed.path("folder")
    os.mkdir(folder)
    resource.prlimit(parent.pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
    fails(parent, os.path.join(folder, "file"), "File too large")
    expect(not os.listdir(folder), f"there is {os.listdir(folder)}")
    resource.prlimit(parent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    snapshot(parent, os.path.join(folder, "file"))
    expect(os.listdir(folder) == ["file"], f"there is {os.listdir(folder)}")
    end(parent)


def after_a_kill(bed, folder, old, new, last):
    """What is in the folder is the old file or the new one, whole; the id of it."""
    left = set(os.listdir(folder)) - {"file"}
    # Between two system calls the complete file has two names; the next write takes the other away.
    expect(left <= {".file.partial"}, f"there is {left}")
    now = verified_id(bed, os.path.join(folder, "file"))
    expect(now in (old, new), f"{now} is neither {old} nor {new}")
    expect(now == new or not (last and last["ok"]), f"{last}, but the old file is there")
    return now


def duration(session, path):
    begun = time.monotonic()
    snapshot(session, path)
    return time.monotonic() - begun


def test_writer_killed(bed):
    folder = bed.path("folder")
    os.mkdir(folder)
    file = os.path.join(folder, "file")
    parent = boot(bed, memory="64M")
    span = duration(parent, file)
    now = verified_id(bed, file)
    held = resources(parent.pid)
    killed = 0
    for _ in range(KILLS):
        writing = Writing(parent, file)
        expect(writing.reply["ok"], f"{writing.reply}")
        time.sleep(random.uniform(0, span))
        try:
            os.kill(writing.reply["pid"], signal.SIGKILL)
        except ProcessLookupError:
            pass
        last = writing.end()
        killed += last is None
        now = after_a_kill(bed, folder, now, writing.reply["snapshot"], last)
    expect(killed, "no writer was killed in time")
    await_resources(parent.pid, held)
    snapshot(parent, file)
    expect(os.listdir(folder) == ["file"], f"there is {os.listdir(folder)}")
    end(parent)


def test_vmm_killed_while_it_is_saved(bed):
    """Its writer may go on or end with it."""
    folder = bed.path("folder")
    os.mkdir(folder)
    file = os.path.join(folder, "file")
    first = boot(bed, memory="16M")
    snapshot(first, bed.path("origin"))
    span = duration(first, file)
    now = verified_id(bed, file)
    end(first)
    for i in range(KILLS):
        session = restore(bed, bed.path("origin"), "template")
        first_look(session)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                session.client.request("snapshot", fds=[theirs.fileno()], path=file)
            time.sleep(random.uniform(0, 1.5 * span))
            os.kill(session.pid, signal.SIGKILL)
            session.wait()
            with ours.makefile("r") as lines:
                said = [json.loads(line) for line in lines]
        await_true(lambda: not processes(bed), "the end of the writer")
        last = said[-1] if said and "ok" in said[-1] else None
        new = last["id"] if last and last["ok"] else None
        if new is None and verified_id(bed, file) != now:
            new = verified_id(bed, file)  # killed after all was done, before it could say so
        now = after_a_kill(bed, folder, now, new, last)
        session.forget()
    clone = restore(bed, file)
    first_look(clone)
    snapshot(clone, os.path.join(folder, "next"))
    end(clone)


def test_session_ends_while_it_is_saved(bed):
    """The file is what was asked for: it is written to its end."""
    for how in ("quit", "term"):
        session = boot(bed, memory="64M")
        file = bed.path(how)
        writing = Writing(session, file)
        if how == "quit":
            session.client.ok("quit")
        else:
            session.process.send_signal(signal.SIGTERM)
        session.ends(0, "quit")
        last = writing.end()
        expect(last and last["ok"], f"{last}")
        expect(verified_id(bed, file) == writing.reply["snapshot"], "another file")


def test_nobody_listens(bed):
    """A writer whose progress nobody reads, or can be told, writes all the same."""
    session = boot(bed, memory="64M")
    file = bed.path("file")
    writing = Writing(session, file)
    writing.lines.close()
    await_true(lambda: is_gone(writing.reply["pid"]), "the writer's end")
    expect(verified_id(bed, file) == writing.reply["snapshot"], "another file")
    end(session)


def test_targets(bed):
    """Places where no file can be, and two that want the same."""
    session = boot(bed, memory="16M")
    os.mkdir(bed.path("folder"))
    os.mkfifo(bed.path("fifo"))
    os.symlink(bed.path("nowhere"), bed.path("link"))
    before = bed.listing()
    for name, text in (("no/folder", "No such file"), ("folder", "folder"), ("fifo", "fifo"),
                       ("link", "link"), ("x" * 300, "cannot write")):
        fails(session, bed.path(name), text)
    for parent, text in (("missing", "missing"), ("fifo", "fifo"), ("folder", "folder")):
        fails(session, bed.path("file"), text, bed.path(parent))
    expect(bed.listing() == before, "something was left behind")
    writings = [Writing(session, bed.path("file")) for _ in range(3)]
    ends = [writing.end() for writing in writings if writing.reply["ok"]]
    expect(any(last["ok"] for last in ends), f"{ends}")
    for last in ends:
        expect(last["ok"] or "being written" in last["error"]["message"], f"{last}")
    expect(sorted(set(bed.listing()) - set(before)) == [bed.path("file")], f"{bed.listing()}")
    expect(verified_id(bed, bed.path("file")) in [last.get("id") for last in ends], "another file")
    end(session)


def first_free(pid):
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


def comes_up(child, limit):
    """Whether a forked guest looks at itself. Its VMM needs a descriptor to talk to us."""
    await_true(lambda: child.ended() or os.path.exists(child.control_path), "a child or its end")
    if child.ended():
        return False
    try:
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, limit)
        first_look(child)
    except (Failure, ProcessLookupError):
        expect(child.ended(), "a child that neither runs nor ends")
        looks(child)  # none of them of something broken
        return False
    return True


def test_no_descriptors_for_a_copy(bed):
    """Each step of a fork and a snapshot is the one that finds none."""
    parent = boot(bed, memory="16M")
    before = look(parent)
    held = resources(parent.pid)
    limit = resource.prlimit(parent.pid, resource.RLIMIT_NOFILE)
    failures = successes = 0
    for more in range(-6, ENOUGH):
        child = Forked(bed)
        listing = bed.listing()
        resource.prlimit(parent.pid, resource.RLIMIT_NOFILE, (first_free(parent.pid) + more, limit[1]))
        reply = parent.client.call("fork", children=[child.order()])
        if reply["ok"]:
            child.pid, = reply["pids"]
        if comes_up(child, limit):
            expect(looks(child)[0].turn == before.turn + 1, "the child")
            end(child)
            successes += 1
        else:
            failures += 1
            expect(not os.path.exists(child.control_path), "a socket without an owner")
        try:
            writing = Writing(parent, bed.path("file"))
            last = writing.end() if writing.reply["ok"] else None
        except Failure:  # the descriptor has not arrived: nothing that follows could be trusted
            parent.hang_up()
            last = None
        if last and last["ok"]:
            verified_id(bed, bed.path("file"))
            os.unlink(bed.path("file"))
            successes += 1
        else:
            failures += 1
        resource.prlimit(parent.pid, resource.RLIMIT_NOFILE, limit)
        parent.client.ok("status")
        new = {name for name in set(bed.listing()) - set(listing) if not name.startswith(child.dir)}
        expect(not new, f"with {more} more: left behind: {new}")
        await_resources(parent.pid, held)
    expect(failures and successes, f"{failures} failures, {successes} successes")
    child = fork(bed, parent)[0]
    first_look(child)
    look(parent)


def within_limits(bed, prefix, file, mode):
    """A restore that ends by itself: it does or is refused by one error. True when it did."""
    listing = bed.listing()
    done = bed.run(["--restore", file, "--restore-mode", mode, "--templates", templates(bed),
                    "--control", bed.path("control"), "--vsock", bed.path("vsock")], prefix)
    expect(done.returncode == 2 and done.stderr.count("cloche-vmm: error: ") == 1 or
           done.returncode == 0 and "guest: passed" in done.stdout, f"{prefix} {mode}: {done}")
    new = [name for name in set(bed.listing()) - set(listing) if not name.startswith(templates(bed))]
    expect(not new, f"{prefix} {mode}: left behind: {new}")
    return done.returncode == 0


def test_no_descriptors_for_a_restore(bed):
    parent = boot(bed, memory="16M", then="verify")
    file = bed.path("file")
    snapshot(parent, file)
    end(parent)
    for mode in ("eager", "template", "lazy"):
        went = [within_limits(bed, ["prlimit", f"--nofile={most}"], file, mode) for most in range(6, 70)]
        expect(True in went and False in went, f"{mode}: {went}")
        expect(went == sorted(went), f"{mode}: fewer are enough where more are not: {went}")


def test_no_memory_for_a_restore(bed):
    """Address space, as that is what can be limited."""
    if SANITIZED:
        return "sanitizers take terabytes of address space"
    parent = boot(bed, memory="64M", then="verify")
    file = bed.path("file")
    snapshot(parent, file)
    end(parent)
    for mode in ("eager", "template", "lazy"):
        went = [within_limits(bed, ["prlimit", f"--as={most * MIB}"], file, mode)
                for most in range(24, 400, 24)]
        expect(True in went and False in went, f"{mode}: {went}")
    return None


def test_no_memory_for_a_copy(bed):
    if SANITIZED:
        return "sanitizers take terabytes of address space"
    parent = boot(bed, memory="64M")
    held = resources(parent.pid)
    with open(f"/proc/{parent.pid}/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    for more in (0, 64 << 10, MIB, 4 * MIB, 16 * MIB, 64 * MIB):
        resource.prlimit(parent.pid, resource.RLIMIT_AS, (size + more, unlimited[1]))
        child = Forked(bed)
        reply = parent.client.call("fork", children=[child.order()])
        if reply["ok"]:
            child.pid, = reply["pids"]
            await_true(lambda: child.ended() or os.path.exists(child.control_path), "a child")
            child.kill()
        writing = Writing(parent, bed.path("file"))
        if writing.reply["ok"]:
            last = writing.end()
            expect(last is not None, "the writer has died")
            expect(not last["ok"] or verified_id(bed, bed.path("file")), "the file")
        resource.prlimit(parent.pid, resource.RLIMIT_AS, unlimited)
    await_true(lambda: resources(parent.pid)[2] == held[2], "no child is left")
    snapshot(parent, bed.path("file"))
    verified_id(bed, bed.path("file"))
    look(parent)
    end(parent)
    return None


TESTS = [
    test_no_space_for_a_snapshot, test_no_space_for_a_template, test_file_size_limit, test_writer_killed,
    test_vmm_killed_while_it_is_saved, test_session_ends_while_it_is_saved, test_nobody_listens,
    test_targets, test_no_descriptors_for_a_copy, test_no_descriptors_for_a_restore,
    test_no_memory_for_a_restore, test_no_memory_for_a_copy,
]
