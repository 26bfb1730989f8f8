#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
run.py [--list] [CASE...] - a guest that attacks the VMM, on this host's own /dev/kvm.

All cases, or those named; --list prints them by what they are about. As many cases as their log
lines allow share one VMM. After the guest's own checks (guest/main.c) the VMM must answer on its
control socket and have logged exactly what cases.py says.
Where there is no KVM every case is skipped, loudly. CLOCHE_BUILD names the build directory.
"""
import fcntl
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "native"))

from cases import CASES  # noqa: E402
from net_peer import NetPeer  # noqa: E402
from peers import Peers  # noqa: E402
from vmm import BUILD, VMM, Bed, Failure, await_true, expect, kvm_problem, words  # noqa: E402

GUEST = os.path.join(BUILD, "tests", "hostile-guest")
IMAGE_SIZE = 2 << 20
DISK_SIZE = 1 << 20
QUESTIONS = 20  # asked while a storm lasts
# lib/log.h: a device's burst of lines, then one a second.
BURST = 5
ENDED = "cloche-vmm: info: ended: "
FLOOD = 80000    # bytes of the guest's serial_flood: more than the VMM's ring and the pipe hold
PIPE_SIZE = 4096
UNSHARE = ["unshare", "--user", "--map-root-user", "--net"]
F_SETPIPE_SZ = 1031
NAMES_MAX = 1800  # bytes of the command line

SETTINGS = {
    "plain": {"memory": "64M"},
    "large": {"memory": "5G"},   # RAM on both sides of the hole
    "unread": {"memory": "64M"},  # nobody reads the console until the guest is through
    "tap": {"memory": "64M"},     # the network card is a tap's, not a stream's
    "endless": {"memory": "64M"},  # the guest is never through
}


def batches(cases):
    """Cases that can share a machine without any device's log limit being reached."""
    batch, lines = [], {}
    for case in cases:
        alone = case.storm or case.setting in ("unread", "endless")
        full = lines.get(case.device, 0) + (case.says is not None) > BURST
        names = sum(len(c.name) + 1 for c in batch) + len(case.name)
        if batch and (alone or full or batch[-1].setting != case.setting or names > NAMES_MAX):
            yield batch
            batch, lines = [], {}
        batch.append(case)
        lines[case.device] = lines.get(case.device, 0) + (case.says is not None)
        if alone:
            yield batch
            batch, lines = [], {}
    if batch:
        yield batch


class Tap:
    """A tap in a namespace of its own, and an echo behind it: tap.py."""

    def __init__(self):
        self.link, other = socket.socketpair()
        self.process = subprocess.Popen([*UNSHARE, sys.executable, HERE / "tap.py", str(other.fileno())],
                                        pass_fds=(other.fileno(),), stderr=subprocess.PIPE)
        other.close()
        _, fds, _, _ = socket.recv_fds(self.link, 16, 1)
        if not fds:
            raise Failure(f"no tap: {self.process.stderr.read().decode()}")
        self.fd = fds[0]

    def stop(self):
        os.close(self.fd)
        self.link.close()
        self.process.wait()
        self.process.stderr.close()


def tap_problem():
    """Why there can be no tap here, or None."""
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    done = subprocess.run([*UNSHARE, "test", "-w", "/dev/net/tun"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip() or "/dev/net/tun can't be written"


class Machine:
    """One VMM with the hostile guest, and the host's side of what it talks to."""

    def __init__(self, bed, cases):
        self.cases = cases
        self.begun = time.monotonic()
        self.peers = Peers(bed.path("vsock"))
        self.net_peer = NetPeer(bed.path("net"))
        self.connects = self.resumes = 0
        self.console = b""
        image = bed.write("image", bytes(IMAGE_SIZE))
        self.unread = cases[0].setting == "unread"
        self.endless = cases[0].setting == "endless"
        pipe = os.pipe() if self.unread else (None, None)
        self.pipe = pipe[0]
        if self.unread:
            fcntl.fcntl(self.pipe, F_SETPIPE_SZ, PIPE_SIZE)
        disks = [bed.write(name, bytes(DISK_SIZE)) for name in ("disk", "disk-ro")]
        self.tap = Tap() if cases[0].setting == "tap" else None
        net = f"tap-fd:{self.tap.fd}" if self.tap else "stream:" + bed.path("net")
        self.vmm = bed.start("hostile", "--image", image, "--disk", disks[0], "--disk",
                             disks[1] + ",ro", "--vsock", bed.path("vsock"),
                             "--net", net,
                             append="cases=" + ",".join(case.name for case in cases),
                             kernel=GUEST, stdout=pipe[1],
                             pass_fds=(self.tap.fd,) if self.tap else (), **SETTINGS[cases[0].setting])
        if self.unread:
            os.close(pipe[1])

    def text(self):
        """What the guest has said; of one that is never through, that it was well all the time."""
        said = self.console.decode(errors="replace")
        return said if self.unread else self.vmm.console() + said

    def serve_guest(self):
        """Does what the guest asks of the host; True once the guest is through or the VMM is gone."""
        asked = re.findall(r"^connect to (\d+)\n", self.text(), re.M)
        for port in asked[self.connects:]:
            self.peers.connect(port)
        self.connects = len(asked)
        if self.text().count("net: resume\n") > self.resumes:
            self.resumes += 1
            self.net_peer.resume()
        return "guest: " in self.text() or self.vmm.process.poll() is not None

    def drain(self):
        """Reads the console that nobody has read so far, to the guest's last line."""
        while b"\nguest: " not in self.console:
            piece = os.read(self.pipe, 65536)
            expect(piece, "the VMM has closed its console")
            self.console += piece

    def ask_meanwhile(self, control):
        """Each answer comes while the storm lasts: the guest has left for the VMM before the next."""
        def count():
            return control.ok("status")["exits"]["mmio"]

        await_true(lambda: f"case {self.cases[0].name}\n" in self.text(), "the storm")
        for _ in range(QUESTIONS):
            before = count()
            await_true(lambda seen=before: count() > seen, "the storm goes on")
        self.console = f"\nok {self.cases[0].name}\n".encode()

    def finish(self):
        """The cases to their end, then the VMM to its: it must have served all the time."""
        control = self.vmm.control()
        if self.unread:
            await_true(lambda: control.ok("status")["exits"]["mmio"] > FLOOD, "the whole flood")
            self.drain()
        if self.endless:
            self.ask_meanwhile(control)
        else:
            await_true(self.serve_guest, "the end of the cases")
        control.ok("status")
        control.ok("quit")
        self.vmm.ends(0, "quit")
        return time.monotonic() - self.begun

    def close(self):
        self.peers.stop()
        if self.tap:
            self.tap.stop()
        self.net_peer.stop()
        if self.unread:
            os.close(self.pipe)

    def log(self):
        """The VMM's complaints, without the line about its end and others that aren't any."""
        lines = self.vmm.stderr().splitlines()
        expect(lines and lines.pop().startswith(ENDED), "the VMM didn't say why it ended")
        return [line.removeprefix("cloche-vmm: warning: ") for line in lines
                if not line.startswith("cloche-vmm: info: ")]


def judge_storm(case, lines, seconds):
    """What is wrong with a storm's lines, or ""."""
    told = "\nthe log:\n" + "\n".join(lines)
    if not all(case.says.fullmatch(line) for line in lines):
        return f"a line of another kind{told}"
    if case.loud and not lines:
        return "a storm without a line"
    if len(lines) > BURST + 1 + seconds:
        return f"{len(lines)} lines in {seconds:.1f} s{told}"
    return ""


def judge_lines(cases, lines):
    """{name: what is wrong with its line} for cases that say one line each or nothing."""
    due = [case for case in cases if case.says]
    told = "\nthe log:\n" + "\n".join(lines)
    for case, line in zip(due, lines):
        if not case.says.fullmatch(line):
            return {case.name: f"{case.says.pattern!r} isn't '{line}'{told}"}
    if len(lines) < len(due):
        return {due[len(lines)].name: f"no line in the log{told}"}
    if len(lines) > len(due):
        return {cases[-1].name: f"more lines than cases that say something{told}"}
    return {}


def judge(cases, lines, seconds):
    if cases[0].storm:
        return {cases[0].name: judge_storm(cases[0], lines, seconds)}
    return judge_lines(cases, lines)


def run_batch(cases):
    """{name: why it failed, or ""}"""
    bed = Bed()
    machine, failures, trouble = None, {}, ""
    try:
        machine = Machine(bed, cases)
        seconds = machine.finish()
        failures = judge(cases, machine.log(), seconds)
    except Failure as failure:
        trouble = str(failure)
    text = machine.text() if machine else ""
    table = dict(words(text)).get("table")
    if machine:
        machine.close()
    trouble = bed.finish() or trouble
    if not trouble and table != len(CASES):
        trouble = f"the guest has {table} cases, cases.py {len(CASES)}"
    results = {}
    for case in cases:
        why = failures.get(case.name, "")
        if not re.search(rf"^ok {case.name}$", text, re.M):
            why, trouble = why or part_of(text, case) + trouble, ""
        results[case.name] = why
    if trouble:  # all went well in the guest's eyes
        results[cases[-1].name] = trouble
    return results


def part_of(text, case):
    """What the guest printed during @case."""
    found = re.search(rf"^case {case.name}\n(?:.*\n)*?(?=case |guest: |\Z)", text, re.M)
    return "the guest says:\n" + found.group(0) if found else "it didn't get there; "


def print_list():
    item = None
    for case in CASES:
        if (case.section, case.item) != item:
            item = (case.section, case.item)
            print(f"{case.section}: {case.item}")
        print(f"  {case.name}")


def main():
    wanted = sys.argv[1:]
    if "--help" in wanted:
        print(__doc__.strip())
        return 0
    if wanted == ["--list"]:
        print_list()
        return 0
    unknown = set(wanted) - {case.name for case in CASES}
    if unknown:
        sys.exit(f"no such case: {' '.join(sorted(unknown))}; --list prints them all")
    cases = [case for case in CASES if not wanted or case.name in wanted]
    for path in (VMM, GUEST):
        if not os.path.exists(path):
            sys.exit(f"{path} is missing: make check-native builds it")
    problem = kvm_problem()
    if problem:
        print(f"SKIP every hostile case, as no guest can run here: {problem}")
        print(f"0 passed, 0 failed, {len(cases)} skipped")
        return 0
    of_tap = [case for case in cases if case.setting == "tap"]
    problem = tap_problem() if of_tap else None
    skipped = of_tap if problem else []
    for case in skipped:
        print(f"skip {case.name}: {problem}")
    cases = [case for case in cases if case not in skipped]
    failed = 0
    for batch in batches(cases):
        begun = time.monotonic()
        results = run_batch(batch)
        seconds = time.monotonic() - begun
        for name, why in results.items():
            print(f"FAIL {name}: {why}" if why else f"ok {name}")
            failed += bool(why)
        print(f"   {len(batch)} in {seconds:.2f} s", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
