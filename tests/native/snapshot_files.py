# SPDX-License-Identifier: GPL-2.0-or-later
"""
snapshot_files.py - snapshot files that are damaged, forged or none: one line, status 2, nothing left.
"""
import concurrent.futures
import json
import os
import random
import struct

import snapshot_format as form
from clones import boot, end, first_look, fork, look, restore, snapshot, templates
from snapshot_format import Section, Snapshot
from vmm import GUEST, SANITIZED, Bed, Failure, expect

FLIPS = 10000
UNKNOWN = 4711
# What is wrong with them, in the words of the one line.
HEADER_LIES = ("header breaks the rules", "section parent is missing", "bytes of RAM, its machine has",
               "no snapshot")
DOES_NOT_FIT = ("not the length it should", "of no possible machine", "of another device", "is no queue",
                "CPUID entries", "extended state has", "is too short", "its state is none")
NAMES = {form.CONFIG: "config", form.VCPU: "vcpu", form.VM: "vm", form.IOAPIC: "ioapic", form.SERIAL: "serial",
         form.VIRTIO: "virtio", form.SCREEN: "screen", form.INFO: "info"}


def small_file(bed, **words):
    """A snapshot of a guest with 4 MiB; its path and content."""
    parent = boot(bed, memory="4M", **words)
    path = bed.path("good")
    snapshot(parent, path)
    parent.kill()
    with open(path, "rb") as file:
        return path, file.read()


def refuses(bed, path, text, *arguments):
    """With all that a session has; none of it is made."""
    bed.refuses(["--restore", path, "--control", bed.path("control"), "--vsock", bed.path("vsock"),
                 "--console", bed.path("console"), "--report", bed.path("report"),
                 "--templates", templates(bed), *arguments], text)


def refuses_bytes(bed, data, text, *arguments):
    refuses(bed, bed.write("bad", data), text, *arguments)


def flipped(data, at, bits):
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1:]


def test_good_file(bed):
    """What the tests below change is good as it is; --inspect and --verify say so."""
    path, data = small_file(bed)
    parts = Snapshot(data)
    expect(parts.encode() == data, "the format isn't the one that the tests know")
    done = bed.run(["--verify", path])
    expect(done.returncode == 0 and done.stdout.count("\n") == 1 and not done.stderr, f"{done}")
    done = bed.run(["--inspect", path])
    expect(done.returncode == 0 and done.stdout.count("\n") == 1 and not done.stderr, f"{done}")
    told = json.loads(done.stdout)
    expect(told["id"] == parts.id.hex(), f"{told}")
    expect(len(told["sections"]) == len(parts.sections), f"{told}")
    clone = restore(bed, path)
    first_look(clone)
    end(clone)


def test_cut_short(bed):
    """At the start, the end and the middle of each part."""
    _, data = small_file(bed)
    places = Snapshot(data).places()
    sizes = {size for a, b in zip(places, places[1:]) for size in (a, a + 1, (a + b) // 2, b - 1)}
    for size in sorted(sizes):
        refuses_bytes(bed, data[:size], ("cut off", "no snapshot"))
    refuses_bytes(bed, data + b"\0", "1 bytes behind its end")
    refuses_bytes(bed, data + data, f"{len(data)} bytes behind its end")


def test_each_header_byte(bed):
    _, data = small_file(bed)
    for at in range(form.HEADER_SIZE):
        for bits in (0x01, 0x80, 0xff):
            refuses_bytes(bed, flipped(data, at, bits), ("damaged header", "no snapshot", "of the format"))


def verify_flips(data, path, count, seed):
    """Flips bits somewhere, half of the times outside of chunk data; what went wrong, or None."""
    bed = Bed()
    chance = random.Random(seed)
    parts = Snapshot(data).places()
    outside = [*range(parts[-3]), *range(parts[-2], parts[-1])]
    try:
        with open(path, "w+b", buffering=0) as file:
            file.write(data)
            for _ in range(count):
                places = {chance.choice(outside) if chance.random() < 0.5 else chance.randrange(len(data))
                          for _ in range(chance.randint(1, 3))}
                changes = {at: data[at] ^ 1 << chance.randrange(8) for at in places}
                for at, byte in changes.items():
                    os.pwrite(file.fileno(), bytes([byte]), at)
                done = bed.run(["--verify", path])
                if done.returncode != 2 or done.stdout or done.stderr.count("\n") != 1 or \
                        not done.stderr.startswith("cloche-vmm: error: "):
                    return f"seed {seed}, {changes}: {done}"
                for at in changes:
                    os.pwrite(file.fileno(), data[at:at + 1], at)
        done = bed.run(["--verify", path])
        return None if done.returncode == 0 else f"the file wasn't put back: {done}"
    finally:
        bed.finish()


def test_random_flips(bed):
    """No bit of a file is without a meaning."""
    _, data = small_file(bed)
    flips = FLIPS // 20 if SANITIZED else FLIPS  # a start takes ten times as long there
    workers = os.cpu_count()
    seed = random.randrange(1 << 32)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(verify_flips, data, bed.path(f"flipped{i}"), flips // workers + 1, seed + i)
                for i in range(workers)]
        for job in jobs:
            wrong = job.result()
            expect(not wrong, wrong)


def test_no_snapshot(bed):
    folder = bed.path("folder")
    os.mkdir(folder)
    fifo = bed.path("fifo")
    os.mkfifo(fifo)
    good, data = small_file(bed)
    link = bed.path("link")
    os.symlink(good, link)
    for path, text in (
            (bed.path("missing"), "No such file"), (folder, "no regular file"), (fifo, "no regular file"),
            ("/dev/null", "no regular file"), (link, "no regular file"), ("", ""),
            (bed.write("empty", b""), "no snapshot"), (bed.write("text", b"#!/bin/sh\n" * 100), "no snapshot"),
            (bed.write("zeros", bytes(len(data))), "no snapshot"), (GUEST, "no snapshot")):
        refuses(bed, path, text)
        for option in ("--verify", "--inspect"):
            bed.refuses([option, path], text)


def test_versions(bed):
    _, data = small_file(bed)
    for version in (0, 2, 0xffffffff):
        refuses_bytes(bed, Snapshot(data).encode(version=version), f"version {version}")
    for section in Snapshot(data).sections:
        parts = Snapshot(data)
        newer = parts.section(section.kind, section.instance)
        newer.version = 77
        if section.kind == form.INFO:
            continue  # nothing depends on it
        refuses_bytes(bed, parts.encode(), "version 77")


def test_unknown_sections(bed):
    path, data = small_file(bed)
    parts = Snapshot(data)
    parts.sections.append(Section(UNKNOWN, 0, 1, form.REQUIRED, b"what the guest can't do without"))
    refuses_bytes(bed, parts.encode(), str(UNKNOWN))
    parts.sections[-1].flags = 2  # a flag that isn't known
    refuses_bytes(bed, parts.encode(), "has flags")
    parts.sections[-1].flags = 0
    clone = restore(bed, bed.write("more", parts.encode()))
    first_look(clone)
    end(clone)


def test_sections_missing_or_twice(bed):
    _, data = small_file(bed)
    for index, section in enumerate(Snapshot(data).sections):
        parts = Snapshot(data)
        name = NAMES[section.kind]
        del parts.sections[index]
        if not section.flags & form.REQUIRED:
            clone = restore(bed, bed.write("less", parts.encode()))
            first_look(clone)
            clone.kill()
        else:
            refuses_bytes(bed, parts.encode(), (f"no {name}", f"no section {name}"))
        parts = Snapshot(data)
        parts.sections.append(section)
        refuses_bytes(bed, parts.encode(), f"section {name} {section.instance} is there twice")
    parts = Snapshot(data)
    parts.sections = []
    refuses_bytes(bed, parts.encode(), "no section config")


def test_sections_of_other_length(bed):
    """A payload that ends too early or goes on, under a hash that fits."""
    _, data = small_file(bed)
    for index, section in enumerate(Snapshot(data).sections):
        if not section.flags & form.REQUIRED:
            continue
        for payload in (b"", section.payload[:-1], section.payload + b"\0",
                        section.payload[:len(section.payload) // 2]):
            parts = Snapshot(data)
            parts.sections[index].payload = payload
            refuses_bytes(bed, parts.encode(), DOES_NOT_FIT)


def test_another_cpu(bed):
    """The vendor in CPUID is 12 letters, in EBX, ECX and EDX, and a guest has seen them. Without the
    section that tells of the host, the processor is compared."""
    _, data = small_file(bed)
    parts = Snapshot(data)
    parts.sections.remove(parts.section(form.INFO))
    cpu = parts.section(form.VCPU)
    for vendor in (b"AuthcAMDenti", b"GenuntelineI"):
        cpu.payload = cpu.payload.replace(vendor, b"Centaulsaur!")
    expect(b"Centaulsaur!" in cpu.payload, "no vendor in the CPU's section")
    refuses_bytes(bed, parts.encode(), "another vendor")
    # A feature more than any processor has: all bits of leaf 7's EBX, ECX and EDX.
    parts = Snapshot(data)
    parts.sections.remove(parts.section(form.INFO))
    cpu = parts.section(form.VCPU)
    leaf = struct.pack("<II", 7, 0)
    at = cpu.payload.index(leaf, 4)
    cpu.payload = cpu.payload[:at + 16] + b"\xff" * 12 + cpu.payload[at + 28:]
    refuses_bytes(bed, parts.encode(), "features that this host lacks")


def test_another_shape(bed):
    """Parts that are good, each for itself, and belong to different machines."""
    _, data = small_file(bed)
    two = boot(bed, "--cpus", "2", memory="8M")
    snapshot(two, bed.path("two"))
    two.kill()
    with open(bed.path("two"), "rb") as file:
        other = Snapshot(file.read())
    parts = Snapshot(data)
    parts.section(form.CONFIG).payload = other.section(form.CONFIG).payload
    refuses_bytes(bed, parts.encode(), "bytes of RAM, its machine has")
    parts = Snapshot(data)
    parts.sections = other.sections
    refuses_bytes(bed, parts.encode(), "bytes of RAM, its machine has")
    parts = Snapshot(data)
    parts.sections.append(other.section(form.VCPU, 1))
    refuses_bytes(bed, parts.encode(), "a vcpu 1, its machine hasn't")


def test_another_image(bed):
    """The root image is a file that the guest has mapped: another one in its place is none."""
    image = bed.write("image", b"the first".ljust(1 << 20, b"!"))
    parent = boot(bed, "--image", image, memory="4M")
    file = bed.path("file")
    snapshot(parent, file)
    before = look(parent)
    clone = restore(bed, file)
    first_look(clone)
    clone.kill()
    child = fork(bed, parent)[0]
    expect(first_look(child).turn == before.turn + 1, "the child")
    child.kill()
    parent.kill()
    os.rename(image, bed.path("moved"))
    refuses(bed, file, "No such file")
    clone = restore(bed, file, None, "--image", bed.path("moved"))
    first_look(clone)
    clone.kill()
    bed.write("image", b"another".ljust(1 << 20, b"!"))
    refuses(bed, file, "another root image")
    bed.write("image", b"shorter")
    refuses(bed, file, "another root image")


def lz4_literals(size):
    """An LZ4 block that says itself, and is too large by far for a chunk."""
    return bytes([0xf0]) + b"\xff" * ((size - 15) // 255) + bytes([(size - 15) % 255])


def with_entry(parts, index, **changes):
    entry = dict(zip(("kind", "size", "hash"), parts.entries[index]), **changes)
    parts.entries[index] = tuple(entry.values())


def replaced(data, kind, stored):
    """The file with other stored bytes for the first chunk of a kind, and an index that fits."""
    parts = Snapshot(data)
    index, offset = parts.chunk(kind)
    size = parts.entries[index][1]
    parts.data = parts.data[:offset] + stored + parts.data[offset + size:]
    with_entry(parts, index, size=len(stored))
    return parts


def test_chunks_that_lie(bed):
    """An index that nothing in the file contradicts, until a chunk is read."""
    _, data = small_file(bed)
    bomb = lz4_literals(1 << 20) + bytes(1000)
    repeat = bytes([0x1f, 7, 1, 0]) + b"\xff" * 4000 + b"\0"  # one literal, a million times
    for stored in (bomb, repeat, b"\0", b"\xff" * 100, os.urandom(60000)):
        bad = replaced(data, form.LZ4, stored).encode()
        for mode in ("eager", "template"):
            refuses_bytes(bed, bad, "no LZ4 block of its length", "--restore-mode", mode)
        bed.refuses(["--verify", bed.path("bad")], "no LZ4 block of its length")
    parts = Snapshot(data)
    index, offset = parts.chunk(form.RAW)
    parts.data = flipped(parts.data, offset + 100, 1)
    for mode in ("eager", "template"):
        refuses_bytes(bed, parts.encode(), "its hash doesn't fit", "--restore-mode", mode)
    expect(index > 0, "the first chunk is raw")


def test_index_that_lies(bed):
    _, data = small_file(bed)
    raw, lz4 = (Snapshot(data).chunk(kind)[0] for kind in (form.RAW, form.LZ4))
    zero = Snapshot(data).chunk(form.ZERO)[0]
    size = Snapshot(data).entries[lz4][1]
    for index, changes in (
            (lz4, {"size": size + 1}), (lz4, {"size": size - 1}), (lz4, {"size": 0}),
            (lz4, {"size": 0xffffffff}), (lz4, {"kind": form.RAW}), (lz4, {"kind": form.ZERO}),
            (lz4, {"kind": 4}), (lz4, {"kind": 255}), (lz4, {"kind": form.PARENT}),
            (raw, {"kind": form.LZ4}), (raw, {"size": form.CHUNK_SIZE - 1}), (zero, {"size": 1}),
            (zero, {"hash": 1}), (zero, {"kind": form.PARENT})):
        parts = Snapshot(data)
        with_entry(parts, index, **changes)
        refuses_bytes(bed, parts.encode(), ("index breaks the rules", "index doesn't fit"))
    # Two that overlap: the sum stays what it is, and the second begins within the first's bytes.
    parts = Snapshot(data)
    second = next(i for i, e in enumerate(parts.entries) if e[0] == form.LZ4 and i != lz4)
    with_entry(parts, lz4, size=size + 5)
    with_entry(parts, second, size=parts.entries[second][1] - 5)
    refuses_bytes(bed, parts.encode(), "no LZ4 block of its length", "--restore-mode", "eager")
    parts = Snapshot(data)
    del parts.entries[-1]
    refuses_bytes(bed, parts.encode(), "header breaks the rules")
    parts.entries += [(form.ZERO, 0, 0)] * 2
    refuses_bytes(bed, parts.encode(), "header breaks the rules")


def test_header_that_lies(bed):
    """Sizes that don't fit each other or the file, under a hash that fits."""
    _, data = small_file(bed)
    good = Snapshot(data)
    for fields in ({"ram_size": 0}, {"ram_size": 1}, {"ram_size": 1 << 63}, {"ram_size": 8 << 20},
                   {"ram_size": good.ram_size - 4096}, {"chunk_size": 4096}, {"chunk_size": 0}, {"zero": 1},
                   {"state_size": 0}, {"state_size": 1 << 40}, {"state_size": (1 << 64) - 1},
                   {"data_size": 0}, {"data_size": good.data_size + 1}, {"data_size": (1 << 64) - 128},
                   {"index_size": 8}, {"index_size": good.index_size + 13}, {"file_size": 0},
                   {"file_size": good.file_size + 1}, {"header_size": 64}, {"header_size": 136},
                   {"id": bytes(16)}, {"magic": b"CLOCHE\x1a\r"}, {"parent": b"\1" * 16},
                   {"parent": good.id}):
        refuses_bytes(bed, Snapshot(data).encode(**fields), HEADER_LIES)


def test_lazy_finds_out_late(bed):
    """A chunk that can't be had ends the guest; it never sees another's bytes or zeros."""
    _, data = small_file(bed)
    parts = Snapshot(data)
    kinds = [index for index, entry in enumerate(parts.entries) if entry[0] == form.RAW]
    offset = sum(entry[1] for entry in parts.entries[:kinds[-1]])
    parts.data = flipped(parts.data, offset + 5000, 1)
    clone = restore(bed, bed.write("bad", parts.encode()), "lazy")
    status = clone.wait()
    expect(status not in (0, -6, -11), f"status {status}")
    expect("verified" not in clone.console(), clone.console())
    expect("its hash doesn't fit" in clone.stderr(), clone.stderr())
    report = json.loads(clone.read("report.json"))
    expect(report["status"] == status and "chunk" in report["detail"], f"{report}")


def test_parents_that_fail(bed):
    """Missing, damaged, swapped, itself, or too many."""
    parent = boot(bed, memory="4M")
    snapshot(parent, bed.path("base"))
    look(parent)
    snapshot(parent, bed.path("diff"), parent=bed.path("base"))
    with open(bed.path("base"), "rb") as file:
        base = file.read()
    with open(bed.path("diff"), "rb") as file:
        diff = file.read()
    os.unlink(bed.path("base"))
    refuses(bed, bed.path("diff"), "nor beside it")
    bed.write("base", diff)
    refuses(bed, bed.path("diff"), "nor beside it")
    bed.write("base", flipped(base, 200, 1))
    refuses(bed, bed.path("diff"), "its hash doesn't fit")
    changed = Snapshot(base)
    index, _ = changed.chunk(form.RAW)
    with_entry(changed, index, hash=12345)
    bed.write("base", changed.encode())
    refuses(bed, bed.path("diff"), "its parent has another chunk")
    os.unlink(bed.path("base"))
    os.mkfifo(bed.path("base"))
    refuses(bed, bed.path("diff"), "no regular file")
    os.unlink(bed.path("base"))
    bed.write("base", base)
    clone = restore(bed, bed.path("diff"), "eager")
    first_look(clone)
    clone.kill()
    links = [bed.path("diff")]
    try:
        for i in range(20):
            links.append(bed.path(f"link{i}"))
            snapshot(parent, links[-1], parent=links[-2])
    except Failure:
        expect(len(links) == 16, f"{len(links)} links")
    else:
        expect(False, "a chain without an end")


def test_options(bed):
    """What the file has can't be said again."""
    path, _ = small_file(bed)
    for arguments in (["--kernel", GUEST], ["--initramfs", GUEST], ["--memory", "8M"], ["--cpus", "2"],
                      ["--size", "800x600"], ["--append", "x=1"], ["--page", "about:blank"],
                      ["--guest-root"], ["--disk", GUEST]):
        refuses(bed, path, arguments[0], *arguments)
    refuses(bed, path, "--restore-mode", "--restore-mode", "quick")


def test_damaged_template(bed):
    """Resident memory of a snapshot that is not what it was is made anew, or refused."""
    parent = boot(bed, memory="4M")
    before = look(parent)
    file = bed.path("file")
    snapshot(parent, file)
    for damage in (lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 1 << 20),
                   lambda path: os.truncate(path, os.path.getsize(path) + 4096),
                   lambda path: overwrite(path, os.path.getsize(path) - 8, bytes(8)),
                   lambda path: (os.unlink(path), os.mkfifo(path)),
                   lambda path: (os.unlink(path), os.symlink(file, path))):
        clone = restore(bed, file, "template")
        first_look(clone)
        end(clone)
        resident = [name for name in os.listdir(bed.path("templates")) if name.endswith(".mem")]
        expect(len(resident) == 1, f"{resident}")
        path = os.path.join(bed.path("templates"), resident[0])
        os.chmod(path, 0o600)
        damage(path)
        clone = restore(bed, file, "template")
        if serves(clone):
            expect(first_look(clone).turn == before.turn + 1, "another guest")
            end(clone)
        else:
            expect(clone.wait() == 2 and clone.stderr().count("\n") == 1, clone.stderr())
            os.unlink(path)


def serves(session):
    """False: it has ended instead."""
    try:
        return bool(session.client)
    except Failure:
        return False


def overwrite(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


TESTS = [
    test_good_file, test_cut_short, test_each_header_byte, test_random_flips, test_no_snapshot,
    test_versions, test_unknown_sections, test_sections_missing_or_twice, test_sections_of_other_length,
    test_another_cpu, test_another_shape, test_another_image, test_chunks_that_lie, test_index_that_lies,
    test_header_that_lies, test_lazy_finds_out_late, test_parents_that_fail, test_options,
    test_damaged_template,
]
