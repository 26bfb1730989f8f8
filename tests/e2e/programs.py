# SPDX-License-Identifier: GPL-2.0-or-later
"""programs.py - the programs under test: the command, the VMM, and a session with its sockets."""
import array
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import PATIENCE, Skip, check, equal, wait_until

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLOCHE = os.path.join(TREE, "build/bin/cloche")
VMM = os.path.join(TREE, "build/bin/cloche-vmm")
IMAGES = os.path.join(TREE, "build/images")

# Set by use_folder(): all sessions and sockets of a run live below it.
RUNTIME = None
PR_SET_CHILD_SUBREAPER = 36


def image(name):
    return os.path.join(IMAGES, name)


def use_folder(path):
    """Sessions live below this folder; and we inherit their VMMs, so that we see how they end."""
    global RUNTIME  # pylint: disable=global-statement
    RUNTIME = path
    os.environ["XDG_RUNTIME_DIR"] = path
    os.environ["XDG_CACHE_HOME"] = os.path.join(path, "cache")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Result:
    """What a program said, and its exit status."""

    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __repr__(self):
        return f"status {self.status}, stdout {self.out[-300:]!r}, stderr {self.err[-300:]!r}"

    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The error line, of which there must be one and no more."""
        lines = self.err.decode().splitlines()
        equal(len(lines), 1, f"the number of lines in {lines}")
        return lines[0]


def run(argv, *, stdin=b"", limit=PATIENCE, env=None, **more):
    try:
        return Result(subprocess.run(argv, input=stdin, capture_output=True, timeout=limit,
                                     env=dict(os.environ, **(env or {})), check=False, **more))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{' '.join(argv[:4])} did not end within {limit} s: "
                           f"{error.stdout} {error.stderr}") from None


def cloche(*arguments, status=None, **more):
    """Runs a command; fails unless it ends with this status, when one is given."""
    result = run([CLOCHE, *map(str, arguments)], **more)
    check(status is None or result.status == status,
          f"cloche {' '.join(map(str, arguments[:3]))}: wanted status {status}: {result}")
    return result


def vmm(*arguments, **more):
    return run([VMM, *map(str, arguments)], **more)


def vmm_processes():
    """{pid: command line} of every VMM below our folder, zombies left out."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == "cloche-vmm" and RUNTIME in " ".join(words):
            found[int(pid)] = words
    return found


def reap(pid, limit=PATIENCE):
    """Waits for a VMM that has become our child to end; its exit status, negative for a signal."""
    def ended():
        done, status = os.waitpid(pid, os.WNOHANG)
        return done and (os.waitstatus_to_exitcode(status),)
    return wait_until(ended, f"the end of process {pid}", limit)[0]


class Control:
    """A client of a session's control socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(path)
        self.number = 0
        self.data = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)

    def fill(self):
        fds = array.array("i")
        data, extra, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 4))
        for level, kind, body in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(body[:len(body) - len(body) % 4])
        self.fds += fds
        if not data:
            raise EOFError("the VMM closed the control connection")
        self.data += data

    def receive(self):
        while b"\n" not in self.data:
            self.fill()
        line, self.data = self.data.split(b"\n", 1)
        reply = json.loads(line)
        size = reply.get("blob", 0)
        while len(self.data) < size:
            self.fill()
        reply["_blob"], self.data = self.data[:size], self.data[size:]
        return reply

    def call(self, verb, blob=b"", **members):
        self.number += 1
        request = dict(members, id=self.number, verb=verb)
        if blob:
            request["blob"] = len(blob)
        self.sock.sendall(json.dumps(request).encode() + b"\n" + blob)
        reply = self.receive()
        equal(reply["id"], self.number, "the reply's id")
        return reply

    def agent(self, verb, blob=b"", timeout_ms=PATIENCE * 1000, **members):
        return self.call("agent", blob, request=dict(members, verb=verb, timeout_ms=timeout_ms))


class Session:
    """A session by name; see session.h for its folder."""

    def __init__(self, name):
        self.name = name
        self.folder = os.path.join(RUNTIME, "cloche", name)

    def path(self, file):
        return os.path.join(self.folder, file)

    def start(self, *options, status=0, timeout=PATIENCE, **more):
        return cloche("--json", "run", self.name, "--timeout", timeout, *options, status=status,
                      limit=timeout + 60, **more)

    def control(self):
        return Control(self.path("control.sock"))

    def agent(self, verb, blob=b"", **members):
        """One request to the agent that must succeed."""
        with self.control() as control:
            reply = control.agent(verb, blob, **members)
        check(reply["ok"], f"agent: {verb}: {reply.get('error')}")
        return reply

    def status(self):
        with self.control() as control:
            return control.call("status")

    def act(self, action, status=0, **arguments):
        return cloche("--json", "act", self.name, json.dumps(dict(arguments, action=action)),
                      status=status).json()

    def exec(self, *argv, options=(), status=0, stdin=b""):
        return cloche("exec", self.name, "--timeout", PATIENCE, *options, "--", *argv,
                      status=status, stdin=stdin, limit=PATIENCE + 60)

    def shell(self, script, *, root=False, status=0):
        options = ("--root",) if root else ()
        return self.exec("sh", "-c", script, options=options, status=status).out.decode()

    def perl(self, script, *arguments, status=0):
        """The one language that every Debian has; its sockets reach vsock too."""
        return self.exec("perl", "-e", script, *arguments, status=status)

    def shot(self, path):
        cloche("shot", self.name, path, status=0)
        with open(path, "rb") as file:
            return file.read()

    def settle(self):
        cloche("wait", self.name, "--for", "settled", "--timeout", PATIENCE, status=0)

    def facts(self):
        with open(self.path("session.json"), encoding="utf-8") as file:
            return json.load(file)

    def report(self):
        with open(self.path("report.json"), encoding="utf-8") as file:
            return json.load(file)

    def listed(self):
        """The session as `ls --json` has it, or None."""
        sessions = cloche("--json", "ls", status=0).json()["sessions"]
        return next((s for s in sessions if s["name"] == self.name), None)

    def kill(self):
        """Ends the session, whatever its state, and forgets its process. A test that fails has it
        tell first what it knows: its folder goes with it."""
        if sys.exc_info()[0]:
            self.tell()
        pid = None
        if os.path.exists(self.path("session.json")):
            pid = self.facts()["pid"]
        cloche("kill", self.name)
        try:
            if pid:
                os.waitpid(pid, 0)
        except ChildProcessError:
            pass

    def tell(self, lines=30):
        """The ends of its logs onto standard error."""
        for file in ("report.json", "vmm.log", "console.log"):
            if not os.path.exists(self.path(file)):
                continue
            with open(self.path(file), encoding="utf-8", errors="replace") as log:
                for line in log.read().splitlines()[-lines:]:
                    print(f"  {self.name}/{file}: {line}", file=sys.stderr)

    def keep(self, folder):
        """Saves logs and, if there is a screen, its picture."""
        os.makedirs(folder, exist_ok=True)
        for file in ("console.log", "vmm.log", "report.json", "session.json"):
            if os.path.exists(self.path(file)):
                shutil.copy(self.path(file), folder)
        if os.path.exists(self.path("control.sock")):
            result = cloche("shot", self.name, os.path.join(folder, "screen.png"))
            if result.status:
                with open(os.path.join(folder, "screen.txt"), "wb") as file:
                    file.write(result.err)


class Guest(Session):
    """A session that many tests share. It comes up in the background; ready() waits for it."""

    def __init__(self, name, web, *options):
        super().__init__(name)
        self.web = web
        self.options = options
        self.started = None  # what `run` answered
        self.failed = None
        self.told = False  # one test has failed with it
        self.loaded = None  # what the page reported of its place and size
        self.thread = None

    def begin(self):
        self.thread = threading.Thread(target=self.bring_up, daemon=True)
        self.thread.start()

    def bring_up(self):
        try:
            self.started = self.start("--relay", f"8000:{self.web.path}", *self.options,
                                      timeout=2 * PATIENCE).json()
            cloche("wait", self.name, "--for", "browser", "--timeout", PATIENCE, status=0)
            if "--page" not in self.options:
                self.open(f"/?{self.name}")
            self.loaded = self.web.wait("load", query=f"?{self.name}")
        except Exception as error:  # pylint: disable=broad-except
            self.failed = error

    def is_under_way(self):
        return self.failed or os.path.exists(self.path("session.json"))

    def up(self):
        """Waits until it is up, and fails as its start has failed."""
        if not self.thread:
            self.begin()
        self.thread.join()
        if self.failed:
            self.told = True
            raise self.failed
        return self

    def ready(self):
        """The first test that misses it fails, the others are skipped."""
        if self.told:
            raise Skip(f"the guest {self.name} did not come up")
        return self.up()

    def origin(self):
        """Where the page's top left corner is on the screen: below the browser's own bars."""
        load = self.loaded
        side = (load["outerWidth"] - load["innerWidth"]) // 2
        return load["screenX"] + side, load["screenY"] + load["outerHeight"] - load["innerHeight"]

    def at(self, x, y):
        """A place of the page as a coordinate of the screen."""
        left, top = self.origin()
        return [left + x, top + y]

    def open(self, path="/"):
        """Navigates to a page of ours and returns the answer."""
        return self.act("navigate", url=f"http://127.0.0.1:8000{path}")

    def open_test_page(self):
        """The test page anew, with nothing typed or scrolled. Returns the web's mark before it."""
        mark = self.web.mark()
        query = f"?{self.name}-{mark}"
        self.open(f"/{query}")
        loaded = self.web.wait("load", mark, query=query)
        # A page may load before it knows its window; that hasn't moved meanwhile.
        if loaded["outerWidth"]:
            self.loaded = loaded
        return mark

    def show_test_page(self):
        """The test page, opened anew only if something else is shown. Returns a mark."""
        if "/?" in self.agent("browser", op="state")["url"]:
            return self.web.mark()
        return self.open_test_page()

    def keep(self, folder):
        super().keep(folder)
        with open(os.path.join(folder, "events.json"), "w", encoding="utf-8") as file:
            json.dump(self.web.events, file, indent=0)


def end_all():
    """Ends what a run has left behind, however it ended."""
    sessions = RUNTIME and os.path.join(RUNTIME, "cloche")
    for name in os.listdir(sessions) if sessions and os.path.isdir(sessions) else []:
        cloche("kill", name)
    for pid in vmm_processes():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)
        except ChildProcessError:
            return
