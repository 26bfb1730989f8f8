# SPDX-License-Identifier: GPL-2.0-or-later
"""
bad_input.py - what cloche-vmm is given and can't use: one line, status 2, nothing left behind.
"""
import os
import socket

from vmm import GUEST, expect

COMMAND_LINE_MAX = 2047


def test_options(bed):
    for arguments, text in (
            ([], "a kernel is needed: --kernel FILE"),
            (["--frobnicate"], "--frobnicate: unknown option"),
            (["--kernel"], "--kernel: unknown option, or one without its value"),
            (["--kernel", GUEST, "stray"], "'stray' is no option"),
            (["--kernel", GUEST, "--cpus", "0"], "--cpus must be a number from 1 to 8, not '0'"),
            (["--kernel", GUEST, "--cpus", "9"], "--cpus must be"),
            (["--kernel", GUEST, "--memory", "0"], "--memory must be 1M to 64G"),
            (["--kernel", GUEST, "--memory", "65G"], "--memory must be"),
            (["--kernel", GUEST, "--size", "63x64"], "--size must be"),
            (["--kernel", GUEST, "--cid", "2"], "--cid must be"),
            (["--kernel", GUEST, "--ttl", "0"], "--ttl must be"),
            (["--kernel", GUEST, "--disk", ",ro"], "--disk needs a file"),
            (["--kernel", GUEST, *["--disk", "d"] * 5], "--disk: at most 4 of them"),
            (["--kernel", GUEST, "--page", "http://a b/"], "--page must be a URL")):
        bed.refuses(arguments, text)


def test_help_and_version(bed):
    for option, text in (("--help", "usage: cloche-vmm"), ("--version", "cloche-vmm ")):
        done = bed.run([option])
        expect(done.returncode == 0 and done.stdout.startswith(text) and not done.stderr, f"{done}")


def test_no_kernel(bed):
    folder = bed.path("folder")
    os.mkdir(folder)
    fifo = bed.path("fifo")
    os.mkfifo(fifo)
    for path, text in (
            (bed.path("missing"), "No such file or directory"),
            (folder, "no regular file"),
            (fifo, "no regular file"),
            ("/dev/null", "no regular file"),
            (bed.write("empty", b""), "is no kernel"),
            (bed.write("text", b"#!/bin/sh\n" * 100), "is no kernel"),
            (bed.write("elf", b"\x7fELF" + b"\0" * 1000), "no x86-64 kernel"),
            ("/bin/sh", "is no usable kernel")):
        bed.refuses(["--ring3", "--kernel", path], text)


def test_kernel_cut_short(bed):
    with open(GUEST, "rb") as file:
        data = file.read()
    for size in (600, 4096, 5000):
        cut = bed.write("cut", data[:size])
        bed.refuses(["--ring3", "--kernel", cut], "is no usable kernel")


def test_too_little_memory(bed):
    bed.refuses(["--ring3", "--kernel", GUEST, "--memory", "1M"], "give it more (--mem)")


def test_initramfs(bed):
    folder = bed.path("folder")
    os.mkdir(folder)
    large = bed.write("large", b"")
    os.truncate(large, 60 << 20)
    for path, text in ((bed.path("missing"), "No such file"), (folder, "is no initramfs"),
                       (bed.write("empty", b""), "is no initramfs"),
                       (large, "doesn't fit beside the kernel")):
        bed.refuses(["--ring3", "--kernel", GUEST, "--memory", "32M", "--initramfs", path], text)


def test_disk(bed):
    folder = bed.path("folder")
    os.mkdir(folder)
    fifo = bed.path("fifo")
    os.mkfifo(fifo)
    good = bed.write("good", bytes(512))
    for disk, text in (
            (bed.path("missing"), "No such file or directory"),
            (f"{folder},ro", "neither a file nor a block device"), (folder, "Is a directory"),
            (fifo, "neither a file nor a block device"),
            (f"{fifo},ro", "neither a file nor a block device"),
            ("/dev/null", "neither a file nor a block device"),
            (bed.write("empty", b""), "truncate --size"),
            (bed.write("odd", bytes(1000)), "1000 bytes, is no multiple of 512")):
        bed.refuses(["--ring3", "--kernel", GUEST, "--disk", disk], text)
    bed.refuses(["--ring3", "--kernel", GUEST, "--disk", good, "--disk", good], "in use")


def test_image(bed):
    folder = bed.path("folder")
    os.mkdir(folder)
    fifo = bed.path("fifo")
    os.mkfifo(fifo)
    for path, text in ((bed.path("missing"), "No such file"), (folder, "is no root image"),
                       (fifo, "is no root image"), (bed.write("empty", b""), "is no root image")):
        bed.refuses(["--ring3", "--kernel", GUEST, "--image", path], text)


def test_command_line_length(bed):
    vmm = bed.start("boot")
    line = next(line for line in vmm.passes().splitlines() if line.startswith("cmdline "))
    room = COMMAND_LINE_MAX - len(line.removeprefix("cmdline "))
    bed.start("boot", append="x" * room).passes()
    bed.refuses(["--ring3", "--kernel", GUEST, "--append", "test=boot " + "x" * (room + 1)],
                f"has {COMMAND_LINE_MAX + 1} characters, at most {COMMAND_LINE_MAX} fit")
    bed.refuses(["--ring3", "--kernel", GUEST, "--page", "http://" + "x" * 5000], "shorten --append or --page")


def test_socket_paths(bed):
    taken = bed.write("taken", b"precious")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(bed.path("listener"))
    os.symlink(bed.path("nowhere"), bed.path("link"))
    console = ["--console", bed.path("console")]
    base = ["--ring3", "--kernel", GUEST, "--memory", "32M", *console]
    for option in ("--control", "--vsock", "--vnc"):
        for path, text in ((taken, "exists already"), (bed.path("listener"), "exists already"),
                           (bed.path("link"), "exists already"), (bed.dir, "exists already"),
                           (bed.path("x" * 120), "too long"),
                           (bed.path("no/folder"), "No such file"), ("", "empty")):
            bed.refuses([*base, option, path], text)
    # One path for both: the first is made, and taken away again.
    bed.refuses([*base, "--vsock", bed.path("same"), "--control", bed.path("same")], "exists already")
    # The other socket doesn't stay behind when one of them fails.
    bed.refuses([*base, "--vsock", bed.path("vsock"), "--control", taken], "exists already")
    bed.refuses([*base, "--vnc", bed.path("vnc"), "--control", taken], "exists already")
    with open(taken, "rb") as file:
        expect(file.read() == b"precious", "the file in the way was changed")
    listener.close()


def test_console(bed):
    os.symlink(bed.path("elsewhere"), bed.path("link"))
    for path in (bed.dir, bed.path("no/folder"), bed.path("link"), ""):
        bed.refuses(["--ring3", "--kernel", GUEST, "--memory", "32M", "--console", path],
                    "cannot write console file")


def test_existing_console_stays(bed):
    """A console file that was there before is nobody's to remove."""
    console = bed.write("console", b"")
    bed.refuses(["--ring3", "--kernel", GUEST, "--console", console, "--control", bed.dir], "exists already")
    expect(os.path.exists(console), "the console file is gone")


def test_no_kvm(bed):
    if os.geteuid() != 0:
        return "only root can hide /dev/kvm"
    # A mount namespace of its own, in which /dev is empty.
    hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$0" "$@"']
    bed.refuses(["--ring3", "--kernel", GUEST], "/dev/kvm is missing", hide)
    return None


def test_no_permission(bed):
    if os.geteuid() != 0:
        return "only root can give up its permission"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if os.stat("/dev/kvm").st_mode & 0o006:
        return "everybody may use /dev/kvm here"
    bed.refuses(["--ring3", "--kernel", GUEST], "no permission for /dev/kvm: add yourself to group", nobody)
    return None


TESTS = [
    test_options, test_help_and_version, test_no_kernel, test_kernel_cut_short,
    test_too_little_memory, test_initramfs, test_disk, test_image, test_command_line_length,
    test_socket_paths, test_console, test_existing_console_stays, test_no_kvm, test_no_permission,
]
