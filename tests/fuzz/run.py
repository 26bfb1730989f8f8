#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs fuzz targets under libFuzzer and prints a table of what they did.

usage: run.py --programs FOLDER --work FOLDER [--seconds N] [--jobs N] [TARGET...]

Each target starts from its seeds, its regressions and the corpus that earlier runs left in the work
folder. An input that crashes it, hangs it or takes too much memory ends it, is copied to
tests/fuzz/regressions/TARGET, where the tests replay it from then on, and is reported with how to
run it again. The last line counts targets, as scripts/run-tests reads it.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
HANG = 25        # seconds that one input may take
MEMORY = 2048    # MiB that a target may take
INPUT_MAX = 4096
# What ends an input badly is an abort: the trace then shows where.
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)$", re.M)
COVERAGE = re.compile(r"\bcov: (\d+) ft: (\d+)")
HEADINGS = ("target", "executions", "exec/s", "cov", "ft", "new units", "findings")

children = set()  # targets that run
stopping = threading.Event()


def stop(*_):
    """Ends what runs, so that nothing stays behind; main() sees to the rest."""
    stopping.set()
    for child in list(children):
        child.terminate()


class Result:
    """What one target did."""

    def __init__(self, name, status, log, crashes):
        with open(log, encoding="utf-8", errors="replace") as file:
            output = file.read()
        numbers = dict(STATISTIC.findall(output))
        coverage = COVERAGE.findall(output)
        self.name = name
        self.log = log
        self.crashes = crashes
        self.executions = int(numbers.get("number_of_executed_units", 0))
        self.rate = int(numbers.get("average_exec_per_sec", 0))
        self.units = int(numbers.get("new_units_added", 0))
        self.cov, self.ft = (int(n) for n in coverage[-1]) if coverage else (0, 0)
        # A target that never ran an input has found nothing because it hasn't looked.
        self.ok = status == 0 and not crashes and self.executions > 0
        self.why = "" if status == 0 else f"it ended with status {status}"
        if status == 0 and self.executions == 0:
            self.why = "it ran no input"

    def row(self):
        return (self.name, self.executions, self.rate, self.cov, self.ft, self.units,
                len(self.crashes) or ("none" if self.ok else "failed"))


def fuzz(name, options):
    """One target, from its folders to its Result."""
    work = os.path.join(options.work, name)
    corpus = os.path.join(work, "corpus")
    crashes = os.path.join(work, "crashes")
    log = os.path.join(work, "log")
    shutil.rmtree(crashes, ignore_errors=True)
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(crashes)
    known = [folder for folder in (os.path.join(HERE, "seeds", name),
                                   os.path.join(HERE, "regressions", name))
             if os.path.isdir(folder)]
    with tempfile.TemporaryDirectory(prefix="cloche-fuzz-") as scratch, open(log, "wb") as output:
        child = subprocess.Popen(
            [os.path.abspath(os.path.join(options.programs, name)),
             f"-max_total_time={options.seconds}", f"-timeout={HANG}",
             f"-rss_limit_mb={MEMORY}", f"-max_len={INPUT_MAX}", "-print_final_stats=1",
             f"-artifact_prefix={os.path.abspath(crashes)}/",
             os.path.abspath(corpus), *known],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=dict(os.environ, TMPDIR=scratch, **SANITIZERS))
        children.add(child)
        if stopping.is_set():
            child.terminate()
        status = child.wait()
        children.remove(child)
    return Result(name, status, log, keep(name, crashes))


def keep(name, crashes):
    """Copies what was found to the regressions; the copies' paths."""
    kept = []
    for crash in sorted(glob.glob(os.path.join(crashes, "*"))):
        if os.path.basename(crash).startswith("slow-unit"):
            continue
        folder = os.path.join(HERE, "regressions", name)
        os.makedirs(folder, exist_ok=True)
        kept.append(shutil.copy(crash, os.path.join(folder, os.path.basename(crash)[:32])))
    return kept


def report(result, options):
    """A finding, with the end of the log and the way to see it again."""
    print(f"\n{result.name}: {result.why or 'an input crashed it'}; {result.log} ends:")
    with open(result.log, encoding="utf-8", errors="replace") as file:
        print("".join("    | " + line for line in file.readlines()[-60:]), end="")
    for crash in result.crashes:
        print(f"  to see it again: {os.path.relpath(options.programs)}/{result.name} "
              f"{os.path.relpath(crash)}")


def print_table(rows):
    rows = [HEADINGS, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="where the targets were built")
    parser.add_argument("--work", required=True, help="where corpora and logs are kept")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (default: 2)")
    parser.add_argument("target", nargs="*", help="default: all")
    options = parser.parse_args()
    if options.seconds < 1 or options.jobs < 1:
        parser.error("--seconds and --jobs must be 1 or more")

    there = sorted(os.listdir(options.programs))
    unknown = [name for name in options.target if name not in there]
    if unknown:
        parser.error(f"no target '{unknown[0]}'; there are: {' '.join(there)}")
    names = options.target or there
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: fuzz(name, options), names))

    if stopping.is_set():
        return 1
    print_table(result.row() for result in results)
    failed = [result for result in results if not result.ok]
    for result in failed:
        report(result, options)
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
