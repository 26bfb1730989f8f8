# SPDX-License-Identifier: GPL-2.0-or-later
"""Scratch disks: what a guest keeps on one, who may use it, and storage that fails."""
import os
import subprocess

import programs
from programs import Session, cloche, vmm_processes
from harness import Skip, check, contains, equal, test

MIB = 1 << 20
# Files of many sizes on an ext4, hashed before and after the file system is mounted anew.
FILL = """
set -e
mkfs.ext4 -q -F /dev/vda
mkdir -p /tmp/d
mount /dev/vda /tmp/d
cd /tmp/d
for n in 0 1 511 512 513 4095 4096 100000 3000000; do head -c $n /dev/urandom >file$n; done
mkdir -p deep/deeper
dd if=/dev/urandom of=deep/deeper/holes bs=1000 count=50 seek=9000 2>/dev/null
rm file513
sync
sha256sum $(find . -type f | sort) >/tmp/sums
"""
REMOUNT = "cd / && umount /tmp/d && echo 3 >/proc/sys/vm/drop_caches && mount /dev/vda /tmp/d"
CHECK = "cd /tmp/d && sha256sum $(find . -type f | sort)"
UNMOUNT = "cd / && umount /tmp/d && fsck.ext4 -f -n /dev/vda >/dev/null"


def make_disk(name, mib):
    path = os.path.join(programs.RUNTIME, name)
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    return path


def start(name, *disks):
    session = Session(name)
    session.start("--guest-root", "--mem", "512M",
                  *(word for disk in disks for word in ("--disk", disk)))
    return session


@test
def disk_keeps_what_a_guest_writes():
    disk = make_disk("scratch", 64)
    session = start("disk", disk)
    equal(session.shell("cd /sys/block/vda && cat size serial && echo && cat ro").split(),
          [str(64 * MIB // 512), "disk0", "0"], "the disk")
    session.shell(FILL, root=True)
    sums = session.shell("cat /tmp/sums", root=True)
    equal(len(sums.splitlines()), 9, f"the files in {sums}")
    session.shell(REMOUNT, root=True)
    equal(session.shell(CHECK, root=True), sums, "the hashes after a remount")
    session.shell(UNMOUNT, root=True)
    used = os.stat(disk).st_blocks
    session.shell("mount /dev/vda /tmp/d && rm -r /tmp/d/deep && head -c 9000000 /dev/urandom >/tmp/d/x"
                  " && sync && rm /tmp/d/x && sync && fstrim /tmp/d && umount /tmp/d", root=True)
    check(os.stat(disk).st_blocks <= used, "discarded blocks were not given back")
    session.kill()

    # Another session finds them; this one may only read, and a third may do so at the same time.
    session = start("disk", f"{disk},ro")
    other = start("other", f"{disk},ro")
    for one in (session, other):
        equal(one.shell("cat /sys/block/vda/ro").strip(), "1", "the read-only flag")
        one.shell("mkdir /tmp/d && mount -o ro /dev/vda /tmp/d", root=True)
        found = one.shell(CHECK, root=True).splitlines()
        equal(found, [line for line in sums.splitlines() if "deep" not in line],
              "the hashes in another session")
        one.shell("umount /tmp/d; dd if=/dev/zero of=/dev/vda bs=4096 count=1 oflag=direct 2>/dev/null",
                  root=True, status=1)
    other.kill()
    session.kill()


@test
def disk_is_for_one_session():
    disk = make_disk("single", 8)
    session = start("single", disk)
    before = vmm_processes()
    for again in (disk, f"{disk},ro"):
        result = cloche("run", "second", "--disk", again, status=2)
        contains(result.err.decode(), "in use by another session", "the message")
    equal(vmm_processes(), before, "the VMMs")
    equal(session.shell("cat /sys/block/vda/size").strip(), str(8 * MIB // 512), "the disk")
    session.kill()
    start("second", disk).kill()


@test
def disk_on_a_full_host():
    folder = os.path.join(programs.RUNTIME, "full")
    os.mkdir(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "full", folder], check=False).returncode:
        raise Skip("no tmpfs can be mounted here")
    try:
        disk = make_disk("full/disk", 64)
        session = start("full", disk)
        script = "dd if=/dev/zero of=/dev/vda bs=1M count=%d oflag=direct conv=fsync 2>&1"
        session.shell(script % 4, root=True)
        contains(session.shell(script % 32, root=True, status=1), "Input/output error", "dd")
        # What is there can still be read, the guest runs on, and with room it works again.
        session.shell("dd if=/dev/vda of=/dev/null bs=1M count=4 iflag=direct 2>/dev/null", root=True)
        subprocess.run(["mount", "-o", "remount,size=80M", folder], check=True)
        session.shell(script % 32, root=True)
        with open(os.path.join(programs.RUNTIME, "cloche/full/vmm.log"), encoding="utf-8") as log:
            contains(log.read(), "disk0: a write failed: No space left on device", "the VMM's log")
        session.kill()
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


@test
def disk_that_is_none():
    cases = [("/dev/null", "neither a file nor a block device"),
             (programs.RUNTIME + ",ro", "neither a file nor a block device"),
             (make_disk("empty", 0), "truncate --size"),
             (programs.RUNTIME + "/missing", "No such file")]
    for disk, message in cases:
        result = cloche("run", "none", "--disk", disk, status=2)
        contains(result.err.decode(), message, f"the message for {disk}")
    result = cloche("run", "none", *["--disk", cases[2][0]] * 5, status=2)
    contains(result.error, "at most 4")
    equal(cloche("ls", status=0).out.decode().count("none"), 0, "sessions that are left")
