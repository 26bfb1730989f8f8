# SPDX-License-Identifier: GPL-2.0-or-later
"""
vmm.py - starts the real cloche-vmm for a test, talks to it, and leaves nothing running.

A Bed is one test's place: a temporary directory and the processes started in it. Nothing here waits
for a time to pass; what is waited for is an event, within LIMIT_S so that a hang becomes a failure.
"""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

LIMIT_S = int(os.environ.get("CLOCHE_TEST_LIMIT_S", "60"))
POLL_S = 0.005

BUILD = os.path.abspath(os.environ.get("CLOCHE_BUILD", "build"))
VMM = os.path.join(BUILD, "bin", "cloche-vmm")
GUEST = os.path.join(BUILD, "tests", "native-guest")
SANITIZED = os.path.basename(BUILD) in ("asan", "tsan")


class Failure(Exception):
    """What a test expected and didn't find."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def await_true(condition, what):
    """Polls until condition() gives something true, and returns that."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {LIMIT_S} s")
        time.sleep(POLL_S)


def kvm_problem():
    """Why no guest can run here, or None."""
    done = subprocess.run([VMM, "--probe"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return f"cloche-vmm --probe said: {done.stdout}{done.stderr}"
    missing = answer.get("missing_capabilities")
    if answer.get("kvm") != "ok" or missing:
        return answer.get("message", f"KVM lacks {missing}")
    return None


def words(text):
    """The guest's "name hexvalue" lines as a list of pairs."""
    pairs = []
    for line in text.splitlines():
        parts = line.rsplit(" ", 1)
        if len(parts) == 2 and len(parts[1]) == 16:
            try:
                pairs.append((parts[0], int(parts[1], 16)))
            except ValueError:
                continue
    return pairs


class Control:
    """A client of control.sock."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(path)
        self.pending = b""
        self.last_id = 0

    def send(self, data):
        self.sock.sendall(data)

    def request(self, verb, fds=(), **members):
        self.last_id += 1
        line = json.dumps({"id": self.last_id, "verb": verb, **members}).encode() + b"\n"
        if fds:
            expect(socket.send_fds(self.sock, [line], fds) == len(line), "a request went in part")
        else:
            self.send(line)
        return self.last_id

    def receive(self):
        """The next message, or None when the connection was closed."""
        while b"\n" not in self.pending:
            try:
                piece = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not piece:
                return None
            self.pending += piece
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def call(self, verb, **members):
        number = self.request(verb, **members)
        reply = self.receive()
        expect(reply is not None, f"{verb}: the connection was closed")
        expect(reply["id"] == number, f"{verb}: the answer has id {reply['id']}")
        return reply

    def ok(self, verb, **members):
        reply = self.call(verb, **members)
        expect(reply["ok"], f"{verb}: {reply}")
        return reply

    def error(self, verb, **members):
        reply = self.call(verb, **members)
        expect(not reply["ok"], f"{verb} was expected to fail: {reply}")
        return reply["error"]["code"]

    def closed(self):
        """True once the other side has closed."""
        return self.receive() is None

    def close(self):
        self.sock.close()


class Session:
    """
    One running cloche-vmm with a test guest, its console, control socket and report, however it came
    about. A subclass says what its process is: pid, ended(), wait(), kill().
    """

    def __init__(self, bed):
        self.dir = tempfile.mkdtemp(dir=bed.dir, prefix="vmm-")
        self.control_path = self.path("control.sock")
        self.bed = bed
        bed.sessions.append(self)

    def forget(self):
        """For one of very many that has ended: nothing stays of it, once it has nothing to complain of."""
        self.kill()
        said = complaint(self.stderr())
        expect(not said, said)
        shutil.rmtree(self.dir)
        self.bed.sessions.remove(self)

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), encoding="ascii", errors="replace") as file:
            return file.read()

    def console(self):
        return self.read("console") if os.path.exists(self.path("console")) else ""

    def stderr(self):
        return self.read("stderr")

    def await_console(self, text):
        def there():
            return text in self.console() or self.ended()

        await_true(there, f"'{text}' on the console")
        expect(text in self.console(),
               f"no '{text}' on the console:\n{self.console()}\n{self.stderr()}")

    def control(self):
        connected = []

        def answers():
            try:
                connected.append(Control(self.control_path))
            except (FileNotFoundError, ConnectionRefusedError):  # it is bound before it listens
                pass
            return connected or self.ended()

        await_true(answers, "the control socket")
        expect(connected, f"the VMM has ended early:\n{self.stderr()}")
        return connected[0]

    def ends(self, status, reason):
        """Waits for the end, which must be this one; returns the report."""
        got = self.wait()
        expect(got == status, f"exit status {got}, not {status}:\n{self.console()}\n{self.stderr()}")
        report = json.loads(self.read("report.json"))
        expect(report["reason"] == reason, f"reason {report['reason']}, not {reason}")
        expect(report["status"] == status, f"the report says status {report['status']}")
        expect(not os.path.exists(self.control_path), "the control socket stayed behind")
        return report

    def passes(self):
        """The guest runs its test, finds nothing wrong and powers off; returns its console."""
        self.ends(0, "shutdown")
        text = self.console()
        expect("guest: passed" in text, f"the guest says:\n{text}")
        return text



class Vmm(Session):
    """A child of this process."""

    def __init__(self, bed, arguments, stdout=None, pass_fds=(), prefix=()):
        super().__init__(bed)
        self.stderr_file = open(self.path("stderr"), "w+b")
        command = [*prefix, VMM, "--control", self.control_path, "--report", self.path("report.json")]
        if stdout is None:
            command += ["--console", self.path("console")]
        self.process = subprocess.Popen(command + arguments, stdin=subprocess.DEVNULL,
                                        stdout=stdout or subprocess.DEVNULL, pass_fds=pass_fds,
                                        stderr=self.stderr_file)
        self.pid = self.process.pid

    def ended(self):
        return self.process.poll() is not None

    def wait(self):
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"the VMM hasn't ended within {LIMIT_S} s:\n{self.console()}"
                          f"\n{self.stderr()}") from None

    def kill(self):
        if not self.ended():
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.stderr_file.close()


def complaint(text):
    """What a sanitizer says in @text, or None."""
    for mark in ("Sanitizer", "runtime error:"):
        if mark in text:
            return text
    return None


class Bed:
    """One test's directory and processes."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cloche-native-")
        self.sessions = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def start(self, test, *arguments, append="", memory="64M", stdout=None, kernel=GUEST,
              pass_fds=()):
        """A VMM whose guest runs @test."""
        return Vmm(self, ["--ring3", "--kernel", kernel, "--memory", memory,
                          "--append", f"test={test} {append}", *arguments], stdout, pass_fds)

    def run(self, arguments, prefix=()):
        """Runs cloche-vmm to its end; returns the completed process."""
        return subprocess.run([*prefix, VMM, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def listing(self):
        return sorted(os.path.join(folder, name) for folder, folders, files in os.walk(self.dir)
                      for name in folders + files)

    def refuses(self, arguments, text, prefix=()):
        """Bad input: one line that says @text (or one of several), status 2, nothing new in the directory."""
        texts = (text,) if isinstance(text, str) else text
        before = self.listing()
        done = self.run(arguments, prefix)
        told = f"\n{done.stdout}{done.stderr}"
        expect(done.returncode == 2, f"{arguments}: exit status {done.returncode}, not 2:{told}")
        expect(done.stderr.startswith("cloche-vmm: error: "), f"{arguments}: no error line:{told}")
        expect(done.stderr.count("\n") == 1 and done.stderr.endswith("\n"),
               f"{arguments}: not one line:{told}")
        expect(any(text in done.stderr for text in texts), f"{arguments}: doesn't say '{text}':{told}")
        expect(done.stdout == "", f"{arguments}: something on stdout:{told}")
        expect(self.listing() == before, f"{arguments}: left behind: {self.listing()}")

    def finish(self):
        """Ends what runs; returns what a sanitizer had to say, or None."""
        said = None
        for session in self.sessions:
            session.kill()
            said = said or complaint(session.stderr())
        shutil.rmtree(self.dir)
        return said
