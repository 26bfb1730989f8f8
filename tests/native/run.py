#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
run.py [NAME...] - runs cloche-vmm on this host's own /dev/kvm with the ring-3 test guest.

Ring 3 runs natively wherever there is a KVM at all, also where guest kernels are interpreted. Where
there is none, every test is skipped, loudly. CLOCHE_BUILD names the build directory (default build).
"""
import os
import sys
import time
import traceback

import bad_input
import control
import ending
import guest
import snapshot
import snapshot_faults
import snapshot_files
from vmm import BUILD, GUEST, VMM, Bed, Failure, kvm_problem

# Each of them forks a process that has threads, and its child starts threads again.
FORKING = snapshot.TESTS + snapshot_files.TESTS + snapshot_faults.TESTS
TESTS = guest.TESTS + ending.TESTS + control.TESTS + bad_input.TESTS + FORKING


def name_of(test):
    return test.__name__.removeprefix("test_")


def run(test):
    """One test's outcome: "ok", "skip" or "FAIL", and why."""
    if test in FORKING and os.path.basename(BUILD) == "tsan":
        return "skip", "the thread sanitizer knows no threads in a forked child"
    bed = Bed()
    outcome, why = "ok", ""
    try:
        skipped = test(bed)
        if skipped:
            outcome, why = "skip", skipped
    except Failure as failure:
        outcome, why = "FAIL", str(failure)
    except Exception:  # a surprise is a failure too, and the other tests still run
        outcome, why = "FAIL", traceback.format_exc()
    said = bed.finish()
    return ("FAIL", said) if said else (outcome, why)


def main():
    wanted = sys.argv[1:]
    if "--help" in wanted:
        print(__doc__.strip())
        return 0
    tests = [test for test in TESTS if not wanted or name_of(test) in wanted]
    for path in (VMM, GUEST):
        if not os.path.exists(path):
            sys.exit(f"{path} is missing: make check-native builds it")
    problem = kvm_problem()
    if problem:
        print(f"SKIP every native-bed test, as no guest can run here: {problem}")
        print(f"0 passed, 0 failed, {len(tests)} skipped")
        return 0

    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for test in tests:
        begun = time.monotonic()
        outcome, why = run(test)
        counts[outcome] += 1
        tail = f": {why}" if why else f" ({time.monotonic() - begun:.2f} s)"
        print(f"{outcome} {name_of(test)}{tail}", flush=True)
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
