# SPDX-License-Identifier: GPL-2.0-or-later
"""harness.py - what a test is, how it is run, and what is kept when it fails.

A test is a function under @test. Its name on the command line is the function's, with dashes. It
passes when it returns, fails on any exception, and is skipped by raising Skip. A test that takes a
guest names it, and gets it up and running. Where it doesn't come up, the first test that wants it
fails and the others are skipped.
"""
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

# Nothing here is about speed: in an emulated machine all takes some twenty times as long. These
# limits, in seconds, only end what will never come.
PATIENCE = 240
EVENT_LIMIT = 90  # what a page reports of a click or a key
TEST_LIMIT = 400

TESTS = []
ALL = "*"  # a test that looks at the guests' start itself: it takes all of them, up or not


class Skip(Exception):
    """Why a test can't run here."""


class Case:
    def __init__(self, function, guest):
        self.function = function
        self.guest = guest
        self.name = function.__name__.replace("_", "-")


def test(function=None, *, guest=None):
    """Registers a test, in the order of the source."""
    def register(function):
        TESTS.append(Case(function, guest))
        return function
    return register(function) if function else register


def check(condition, *what):
    """assert with words, that -O doesn't take away."""
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(got, wanted, what="it"):
    check(got == wanted, f"{what} is {got!r}, not {wanted!r}")


def contains(text, part, what="the text"):
    check(part in text, f"{what} has no {part!r}: {text!r}")


def wait_until(condition, what, limit=PATIENCE):
    """Polls until condition() is true, and returns what it returned."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {limit} s")
        time.sleep(0.05)


def explain(error):
    """One line for a failure, with the place in the test where it came about."""
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, AssertionError):
        text = f"{type(error).__name__}: {text}"
    places = [p for p in traceback.extract_tb(error.__traceback__)
              if os.path.basename(p.filename).startswith("test_")]
    if places:
        text += f" ({os.path.basename(places[-1].filename)}:{places[-1].lineno})"
    return text


def on_alarm(number, frame):
    raise TimeoutError(f"the test took more than {TEST_LIMIT} s")


def more_time():
    """The test that runs has its whole limit again: something that takes long by itself is done."""
    signal.alarm(TEST_LIMIT)


class Runner:
    """Runs tests one by one and counts."""

    def __init__(self, out, guests):
        self.out = out
        self.guests = guests
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        signal.signal(signal.SIGALRM, on_alarm)

    def say(self, outcome, line):
        self.counts[outcome] += 1
        print(line, flush=True)

    def keep(self, case):
        """Saves what is left of all sessions into the folder that leaves the machine; those that have
        ended say so at once."""
        for guest in self.guests.values():
            if os.path.exists(guest.path("report.json")):
                guest.tell()
        if not self.out:
            return
        folder = os.path.join(self.out, case.name)
        shutil.rmtree(folder, ignore_errors=True)
        for guest in self.guests.values():
            guest.keep(os.path.join(folder, guest.name))

    def run(self, case):
        arguments = []
        start = time.monotonic()
        signal.alarm(TEST_LIMIT)
        try:
            if case.guest == ALL:
                arguments = [self.guests]
            elif case.guest:
                arguments = [self.guests[case.guest].ready()]
            case.function(*arguments)
            self.say("passed", f"ok {case.name} ({time.monotonic() - start:.1f} s)")
        except Skip as reason:
            self.say("skipped", f"skip {case.name}: {reason}")
        except Exception as error:  # pylint: disable=broad-except
            signal.alarm(0)
            self.say("failed", f"FAIL {case.name}: {explain(error)}")
            traceback.print_exception(error, file=sys.stderr)
            sys.stderr.flush()
            self.keep(case)
        finally:
            signal.alarm(0)

    def total(self):
        return ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())


def run_beside_no_guest(doc, why, begin):
    """
    The main function of tests that are run on this host alone: @why is why they can't be, or None;
    begin(folder), in a new folder that goes at the end, makes what all of them use, and returns what is to
    be close()d. The exit status.
    """
    if "--help" in sys.argv:
        print(doc)
        return 0
    names = [word for word in sys.argv[1:] if word != "--list"]
    cases = [case for case in TESTS if not names or any(name in case.name for name in names)]
    if "--list" in sys.argv:
        print("\n".join(case.name for case in cases))
        return 0
    if why:
        print("".join(f"skip {case.name}: {why}\n" for case in cases), end="")
        print(f"0 passed, 0 failed, {len(cases)} skipped")
        return 0
    folder = tempfile.mkdtemp(prefix="cloche-host.", dir="/tmp")
    runner = Runner(None, {})
    try:
        world = begin(folder)
        for case in cases:
            runner.run(case)
        world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(runner.total(), flush=True)
    return 1 if runner.counts["failed"] else 0
