# SPDX-License-Identifier: GPL-2.0-or-later
"""
snapshot.py - snapshots, restores and forks: what a guest holds is what it held, and nobody else's.
"""
import os
import shutil
import signal
import time

from clones import (Forked, Writing, await_resources, boot, end, first_look, fork, look, looks,
                    processes, resources, restore, snapshot, templates)
from vmm import Control, await_true, expect

MODES = ("eager", "template", "lazy")
RESTORES = 1000
FORKS = 1000
AT_ONCE = 10
KIN = 100


def same_family(before, after):
    """A clone goes on from where its parent was, as somebody else."""
    expect(after.seed == before.seed, f"another guest: {before}, {after}")
    expect(after.generation != before.generation, f"no other generation: {before}, {after}")
    expect(after.turn == before.turn + 1, f"another turn: {before}, {after}")


def origin(session):
    return session.client.ok("status")["origin"]


def test_restored_in_each_mode(bed):
    """1 GiB and all registers; the parent goes on as if nothing had been."""
    parent = boot(bed, memory="1G")
    expect(origin(parent)["kind"] == "boot", f"{origin(parent)}")
    before = look(parent)
    file = bed.path("file")
    saved = snapshot(parent, file)
    expect(saved["parent"] == 0 and min(saved["zero"], saved["lz4"], saved["raw"]) > 1000, f"{saved}")
    expect(os.path.getsize(file) == saved["file_bytes"], f"{saved}")
    expect(os.stat(file).st_mode & 0o777 == 0o600, "the file's mode")
    expect(look(parent).generation == before.generation, "the parent has become another")
    generations = {before.generation}
    for mode in (*MODES, "template", None):
        clone = restore(bed, file, mode)
        first = first_look(clone)
        same_family(before, first)
        told = origin(clone)
        expect(told["kind"] == "restore" and told["of"] == saved["id"], f"{told}")
        expect(mode in (None, told["mode"]), f"{told}, not {mode}")
        if told["mode"] == "lazy":
            clone.client.ok("wait", **{"for": "loaded"})
        expect(clone.client.ok("status")["loaded"], "not all memory is there")
        expect(look(clone).turn == first.turn + 1, "the clone doesn't go on")
        generations.add(first.generation)
        end(clone)
    expect(len(generations) == 6, f"generations: {generations}")
    expect(look(parent).turn == before.turn + 2, "the parent doesn't go on")
    end(parent)


def test_forks_of_forks(bed):
    """Three generations alive at once, each with its own memory; then the eldest ends first."""
    parent = boot(bed, memory="1G")
    before = look(parent)
    child = fork(bed, parent)[0]
    first = first_look(child)
    same_family(before, first)
    told = origin(child)
    expect(told["kind"] == "fork" and told["of"], f"{told}")
    grandchildren = fork(bed, child, 2)
    seconds = [first_look(one) for one in grandchildren]
    for second in seconds:
        same_family(first, second)
    expect(len({before.generation, first.generation, *(s.generation for s in seconds)}) == 4, f"{seconds}")
    for session in (parent, child, *grandchildren, parent):
        look(session)
    end(parent)
    for session in (child, *grandchildren):
        look(session)
        end(session)


def test_fork_of_a_restored_guest(bed):
    parent = boot(bed, memory="256M")
    before = look(parent)
    file = bed.path("file")
    snapshot(parent, file)
    end(parent)
    for mode in MODES:
        restored = restore(bed, file, mode)
        first = first_look(restored)
        same_family(before, first)
        child = fork(bed, restored)[0]
        same_family(first, first_look(child))
        expect(look(restored).generation == first.generation, "the restored one has become another")
        end(restored)
        look(child)
        end(child)


def test_snapshot_of_a_clone(bed):
    """Of a fork; then of what was restored from that, ten times one after the other."""
    parent = boot(bed, memory="256M")
    before = look(parent)
    child = fork(bed, parent)[0]
    last = first_look(child)
    same_family(before, last)
    end(parent)
    for i in range(10):
        file = bed.path(f"file{i}")
        snapshot(child, file)
        end(child)
        child = restore(bed, file, MODES[i % 3])
        first = first_look(child)
        same_family(last, first)
        last = first
    end(child)


def test_differential_chain(bed):
    """Each link has what has changed since, and is of no use without the one before."""
    parent = boot(bed, memory="256M", holes="no")
    files = [bed.path(f"link{i}") for i in range(4)]
    stats = [snapshot(parent, files[0])]
    for i in range(1, 4):
        # A guest says what it has found, then writes its turn: that it looks again shows that it has.
        look(parent)
        before = look(parent)
        stats.append(snapshot(parent, files[i], parent=files[i - 1]))
    expect(stats[0]["parent"] == 0, f"{stats[0]}")
    for link in stats[1:]:
        # A turn writes one page of 509: some 130 of the 4096 chunks, and a few of the guest's own. Up to
        # three have been at it: the last of the link before, one whole, and the last.
        expect(link["parent"] > 3600 and link["lz4"] + link["raw"] > 100, f"{link}")
        expect(link["file_bytes"] < stats[0]["file_bytes"] / 10, f"{link}")
    end(parent)
    for mode in MODES:
        clone = restore(bed, files[3], mode)
        same_family(before, first_look(clone))
        end(clone)
    shutil.rmtree(templates(bed))
    # Elsewhere, all together, they still find each other; out of order they don't.
    moved = bed.path("moved")
    os.mkdir(moved)
    for file in files:
        os.rename(file, os.path.join(moved, os.path.basename(file)))
    files = [os.path.join(moved, os.path.basename(file)) for file in files]
    clone = restore(bed, files[3], "eager")
    same_family(before, first_look(clone))
    end(clone)
    os.rename(files[1], bed.path("away"))
    bed.refuses(["--restore", files[3]], "link1")
    shutil.copy(files[0], files[1])
    bed.refuses(["--restore", files[3]], "link1")


def test_diff_against_another_guest(bed):
    """A parent that has nothing in common is no harm; one of another size is refused."""
    one, other, small = boot(bed, seed=1), boot(bed, seed=2), boot(bed, memory="32M")
    snapshot(other, bed.path("other"))
    snapshot(small, bed.path("small"))
    before = look(one)
    snapshot(one, bed.path("file"), parent=bed.path("other"))
    clone = restore(bed, bed.path("file"))
    same_family(before, first_look(clone))
    last = Writing(one, bed.path("never"), parent=bed.path("small"))
    expect(not (last.reply["ok"] and last.end()["ok"]), "a parent of another size was taken")
    expect(not os.path.exists(bed.path("never")), "a file was left behind")
    look(one)


def test_second_cpu(bed):
    """A CPU that waits to be started waits in the clones too."""
    parent = boot(bed, "--cpus", "2")
    before = look(parent)
    snapshot(parent, bed.path("file"))
    child = fork(bed, parent)[0]
    for clone in (child, restore(bed, bed.path("file"))):
        same_family(before, first_look(clone))
        expect(clone.client.ok("status")["cpus"] == 2, "CPUs")
        end(clone)


def test_paused_parent(bed):
    """Nobody wakes it by copying it; its clones run."""
    parent = boot(bed)
    before = look(parent)
    parent.client.ok("pause")
    child = fork(bed, parent)[0]
    snapshot(parent, bed.path("file"))
    expect(parent.client.ok("status")["state"] == "paused", "the parent was woken")
    same_family(before, first_look(child))
    same_family(before, first_look(restore(bed, bed.path("file"))))
    parent.client.ok("resume")
    look(parent)


def test_snapshot_onto_its_origin(bed):
    """The file that a guest came from, or a parent in the chain, is none to write to."""
    parent = boot(bed)
    file = bed.path("file")
    snapshot(parent, file)
    snapshot(parent, file)  # its own earlier one is
    with open(file, "rb") as opened:
        content = opened.read()
    for clone in (restore(bed, file, "template"), restore(bed, file, "lazy")):
        first_look(clone)
        refused = Writing(clone, file)
        expect(not refused.reply["ok"] or not refused.end()["ok"], "it was written to")
        refused = Writing(clone, file, parent=file)
        expect(not refused.reply["ok"] or not refused.end()["ok"], "it was written to")
        look(clone)
        end(clone)
    with open(file, "rb") as opened:
        expect(opened.read() == content, "the file has changed")


def test_bad_requests(bed):
    """Each gets its answer; nothing is made."""
    parent = boot(bed)
    good = Forked(bed)
    before = bed.listing()
    for children in (None, [], {}, "child", [None], [{}], [{"name": "x"}], [good.order()] * 65,
                     [dict(good.order(), name="")], [dict(good.order(), name=5)],
                     [dict(good.order(), control="relative")], [dict(good.order(), ttl_s=-1)],
                     [dict(good.order(), ttl_s="x")], [dict(good.order(), control=5)],
                     [{k: v for k, v in good.order().items() if k != "control"}]):
        code = parent.client.error("fork", children=children)
        expect(code == "bad_request", f"{children}: {code}")
    expect(parent.client.error("fork") == "bad_request", "no children")
    for path in (None, 5, "", "relative", "x" * 5000):
        refused = Writing(parent, path)
        expect(not refused.reply["ok"] and refused.reply["error"]["code"] == "bad_request",
               f"{path}: {refused.reply}")
    expect(parent.client.error("snapshot", path=bed.path("file")) == "bad_request", "no descriptor")
    expect(bed.listing() == before, "something was left behind")
    expect(processes(bed) == [parent.pid], "a process was left behind")
    look(parent)


def test_child_that_fails(bed):
    """Its socket is somebody else's already: it says so, and nobody else notices."""
    parent = boot(bed)
    before = look(parent)
    held = resources(parent.pid)
    failing = Forked(bed)
    with open(failing.control_path, "w", encoding="ascii") as file:
        file.write("precious")
    good = Forked(bed)
    reply = parent.client.call("fork", children=[failing.order(), good.order()])
    if reply["ok"]:
        failing.pid, good.pid = reply["pids"]
        expect(failing.wait() != 0, "it says that all went well")
        expect("exists already" in failing.stderr(), failing.stderr())
        same_family(before, first_look(good))
        end(good)
    with open(failing.control_path, encoding="ascii") as file:
        expect(file.read() == "precious", "the file in the way was changed")
    await_resources(parent.pid, held)
    look(parent)


def test_fork_while_another_is_under_way(bed):
    parent = boot(bed, memory="256M")
    before = look(parent)
    clients = [parent.control() for _ in range(4)]
    children = [Forked(bed) for _ in clients]
    for client, child in zip(clients, children):
        client.request("fork", children=[child.order()])
    writing = Writing(parent, bed.path("file"))
    for client, child in zip(clients, children):
        reply = client.receive()
        expect(reply["ok"] or reply["error"]["code"] == "busy", f"{reply}")
        if reply["ok"]:
            child.pid = reply["pids"][0]
            same_family(before, first_look(child))
        client.close()
    expect(any(child.pid for child in children), "not one came about")
    expect(writing.reply["ok"] or writing.reply["error"]["code"] == "busy", f"{writing.reply}")
    if writing.reply["ok"]:
        expect(writing.end()["ok"], "the snapshot failed")
        same_family(before, first_look(restore(bed, bed.path("file"))))
    for child in children:
        if child.pid:
            end(child)
    look(parent)


def test_parent_that_dies_meanwhile(bed):
    """Killed anywhere around a fork it leaves whole children or none."""
    for round in range(30):
        parent = boot(bed, memory="32M")
        before = look(parent)
        children = [Forked(bed) for _ in range(3)]
        parent.client.request("fork", children=[child.order() for child in children])
        time.sleep(round * 0.0005)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        for child in children:
            pids = await_settled(bed, child)
            if not pids:
                continue
            child.pid = pids[0]
            same_family(before, first_look(child))
            end(child)
        await_true(lambda: not processes(bed), "the end of all processes")


def await_settled(bed, child):
    """The child's process once it serves its socket; none when there is none that could."""
    def settled():
        alive = processes(bed)
        try:
            client = Control(child.control_path)
        except (FileNotFoundError, ConnectionRefusedError):
            return not alive and [None]
        pid = client.ok("status")["pid"]
        client.close()
        return [pid]

    return [pid for pid in await_true(settled, "children that serve or end") if pid]


def test_a_thousand_restores(bed):
    """No process, file, template or mount more than after the first; each guest looks at all it has."""
    parent = boot(bed, memory="16M", then="verify")
    file = bed.path("file")
    snapshot(parent, file)
    end(parent)
    generations = set()
    for mode in MODES:
        restore(bed, file, mode).passes()
    before = bed.listing()
    for i in range(RESTORES):
        clone = restore(bed, file, MODES[i % 3])
        clone.passes()
        generations.add(looks(clone)[0].generation)
        clone.forget()
    expect(len(generations) == RESTORES, f"{len(generations)} generations")
    expect(bed.listing() == before, "files were left behind")
    expect(not processes(bed), "processes were left behind")


def test_a_thousand_forks(bed):
    """The parent's descriptors, mappings and children are what they were."""
    parent = boot(bed, memory="16M", then="verify")
    look(parent)
    for child in fork(bed, parent, AT_ONCE):
        child.passes()
        child.forget()
    settled = resources(parent.pid)
    before = bed.listing()
    generations = set()
    for _ in range(FORKS // AT_ONCE):
        for child in fork(bed, parent, AT_ONCE):
            child.passes()
            generations.add(looks(child)[0].generation)
            child.forget()
    expect(len(generations) == FORKS, f"{len(generations)} generations")
    await_resources(parent.pid, settled)
    expect(bed.listing() == before, "files were left behind")
    expect(processes(bed) == [parent.pid], "processes were left behind")
    look(parent)


def test_a_hundred_side_by_side(bed):
    """All at once out of one template, each with its own memory."""
    parent = boot(bed, memory="64M")
    before = look(parent)
    snapshot(parent, bed.path("file"))
    clones = [restore(bed, bed.path("file"), "template") for _ in range(KIN)]
    firsts = []
    for clone in clones:
        firsts.append(first_look(clone))
        clone.client.ok("pause")  # a test guest never rests
    for first in firsts:
        same_family(before, first)
    expect(len({first.generation for first in firsts}) == KIN, "two have one generation")
    for clone, first in zip(clones, firsts):
        clone.client.ok("resume")
        expect(look(clone).turn == first.turn + 1, "the clone doesn't go on")
        end(clone)
    expect(len(os.listdir(templates(bed))) <= 2, f"{os.listdir(templates(bed))}")


TESTS = [
    test_restored_in_each_mode, test_forks_of_forks, test_fork_of_a_restored_guest,
    test_snapshot_of_a_clone, test_differential_chain, test_diff_against_another_guest, test_second_cpu,
    test_paused_parent, test_snapshot_onto_its_origin, test_bad_requests, test_child_that_fails,
    test_fork_while_another_is_under_way, test_parent_that_dies_meanwhile, test_a_thousand_restores,
    test_a_thousand_forks, test_a_hundred_side_by_side,
]
