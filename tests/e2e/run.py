#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the end-to-end tests: the real programs, real guests, this machine's /dev/kvm.

usage: run.py [--list] [--half 1|2] [NAME…]

Needs root and a KVM that runs stock guests, as inside the test bed: scripts/testbed
tests/e2e/run.py. NAME runs only the tests whose names contain it, --half only those of one half: two
machines of one processor take half the time of one. Each test prints a line; the last line is the total. What failed tests leave for a look goes to $TESTBED_OUT, if that is set.
"""
import argparse
import os
import shutil
import sys
import tempfile

import copies
import programs
import streams
from harness import TESTS, Runner, wait_until
from web import Web

# In this order: what needs no guest runs while the guests come up; what ends one comes last.
import test_bad_input  # noqa: F401 pylint: disable=unused-import,wrong-import-order
import test_boot  # noqa: F401 pylint: disable=unused-import
import test_screen  # noqa: F401 pylint: disable=unused-import
import test_settle  # noqa: F401 pylint: disable=unused-import
import test_vnc  # noqa: F401 pylint: disable=unused-import
import test_record  # noqa: F401 pylint: disable=unused-import
import test_view  # noqa: F401 pylint: disable=unused-import
import test_guest  # noqa: F401 pylint: disable=unused-import
import test_act  # noqa: F401 pylint: disable=unused-import
import test_act_frames  # noqa: F401 pylint: disable=unused-import
import test_disk  # noqa: F401 pylint: disable=unused-import
import test_vsock  # noqa: F401 pylint: disable=unused-import
import test_streams  # noqa: F401 pylint: disable=unused-import
import test_smp  # noqa: F401 pylint: disable=unused-import
import test_balloon  # noqa: F401 pylint: disable=unused-import
import test_net  # noqa: F401 pylint: disable=unused-import
import test_ends  # noqa: F401 pylint: disable=unused-import
import test_snapshot  # noqa: F401 pylint: disable=unused-import
import test_fork  # noqa: F401 pylint: disable=unused-import
import test_bake  # noqa: F401 pylint: disable=unused-import


# What is in the second half; both take about as long.
SECOND = {"test_vnc", "test_record", "test_view", "test_snapshot", "test_fork", "test_bake"}


def chosen(half, names):
    unknown = [name for name in names if not any(name in case.name for case in TESTS)]
    if unknown:
        sys.exit(f"run.py: no test's name contains {', '.join(unknown)}; --list shows them")
    return [case for case in TESTS if (not names or any(name in case.name for name in names)) and
            half in (None, 2 if case.function.__module__ in SECOND else 1)]


def missing():
    """Why nothing can be run here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for file in (programs.CLOCHE, programs.VMM, programs.image("vmlinux"), programs.image("bzImage"),
                 programs.image("initramfs.cpio"), programs.image("root.erofs"), streams.PROGRAM):
        if not os.path.exists(file):
            return f"{os.path.relpath(file, programs.TREE)} is not built"
    if programs.vmm("--probe").status != 0:
        return "no stock guest can run on this host; use scripts/testbed"
    return None


def shared_guests(web):
    return {
        "main": programs.Guest("main", web, "--cpus", "2", "--mem", "5G"),
        "small": programs.Guest("small", web, "--cpus", "1", "--mem", "512M", "--size", "1024x768",
                              "--guest-root", "--kernel", programs.image("bzImage"),
                              "--page", "http://127.0.0.1:8000/?small"),
        "wide": programs.Guest("wide", web, "--cpus", "4", "--mem", "1536M",
                              "--no-page-reporting"),
    }


def run_all(cases, folder):
    programs.use_folder(folder)
    web = Web(os.path.join(folder, "web.sock"))
    copies.use_web(web)
    guests = shared_guests(web)
    runner = Runner(os.environ.get("TESTBED_OUT"), guests)
    for name, guest in guests.items():
        # The wide one comes up when a test wants it: a third browser that starts beside two others
        # would keep all of them, on the test bed's one processor.
        if name != "wide" and any(case.guest in (name, "*") for case in cases):
            guest.begin()
            # From here on the list of processes changes only by what a test does.
            wait_until(guest.is_under_way, f"the start of {name}")
    for case in cases:
        runner.run(case)
    return runner


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--half", type=int, choices=(1, 2))
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    cases = chosen(options.half, options.names)
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    why = missing()
    if why:
        sys.exit(f"run.py: {why}")
    folder = tempfile.mkdtemp(prefix="cloche-e2e.", dir="/run")
    os.chmod(folder, 0o711)
    try:
        runner = run_all(cases, folder)
    finally:
        programs.end_all()
        shutil.rmtree(folder, ignore_errors=True)
    print(runner.total(), flush=True)
    return 1 if runner.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
