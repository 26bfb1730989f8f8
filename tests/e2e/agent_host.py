#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives the real cloche-agent on this host, with a real Xvfb and a real Chromium.

usage: agent_host.py AGENT [-k WORD]... [--load N]

The agent runs as an ordinary process; unix sockets stand in for vsock ports. It and all that it starts
live in namespaces of their own, with /tmp and /dev/shm in memory: nothing of this host is touched, and
nothing is left, however a test ends. Needs root (the agent becomes uid 1000 for all that it starts),
Xvfb, Chromium and user namespaces for its sandbox: what is missing is said and its tests are skipped.
-k runs only tests whose name holds a WORD; --load keeps N processes busy meanwhile. Each test prints a
line; the last line is the total.
"""
import argparse
import hashlib
import http.server
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

UID = 1000
LINE_MAX = 64 << 10
BLOB_MAX = 1 << 20
OUTPUT_MAX = 512 << 10
BROWSER = "/usr/lib/chromium/chromium"
INSIDE = "CLOCHE_AGENT_HOST_INSIDE"


class Skip(Exception):
    pass


class AgentError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]


class Connection:
    """The VMM's end of the agent channel."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""
        self.events = []
        self.replies = {}
        self.number = 0

    def send(self, message, blob=b""):
        if blob:
            message = dict(message, blob=len(blob))
        self.sock.sendall(json.dumps(message).encode() + b"\n" + blob)

    def fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise TimeoutError("the agent said nothing")
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError("the agent closed the connection")
        self.data += data

    def receive(self, deadline):
        while b"\n" not in self.data:
            self.fill(deadline)
        line, self.data = self.data.split(b"\n", 1)
        assert len(line) < LINE_MAX, "line too long"
        message = json.loads(line)
        size = message.get("blob", 0)
        assert size <= BLOB_MAX
        while len(self.data) < size:
            self.fill(deadline)
        message["_blob"], self.data = self.data[:size], self.data[size:]
        if "event" in message:
            self.events.append(message)
        else:
            self.replies[message["id"]] = message

    def begin(self, verb, blob=b"", **members):
        self.number += 1
        self.send(dict(members, id=self.number, verb=verb), blob)
        return self.number

    def end(self, number, timeout=60):
        deadline = time.monotonic() + timeout
        while number not in self.replies:
            self.receive(deadline)
        reply = self.replies.pop(number)
        if not reply["ok"]:
            raise AgentError(reply["error"])
        return reply

    def call(self, verb, blob=b"", **members):
        return self.end(self.begin(verb, blob, **members))

    def wait_event(self, timeout=60, **members):
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for event in self.events[seen:]:
                if all(event.get(k) == v for k, v in members.items()):
                    return event
            seen = len(self.events)
            self.receive(deadline)


class Agent:
    """An agent process, its folders and its listening channel socket."""

    def __init__(self, program, *arguments):
        self.folder = tempfile.mkdtemp(prefix="cloche-agent.", dir="/dev/shm")
        os.chmod(self.folder, 0o755)
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.home)
        os.chown(self.home, UID, UID)
        self.base = os.path.join(self.folder, "vsock.sock")
        self.listener = self.listen(1024)
        self.display = self.free_display()
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.process = subprocess.Popen(
            [program, "--channel", "unix:" + self.base, "--home", self.home,
             "--run", os.path.join(self.folder, "run"), "--display", str(self.display),
             *arguments],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.conn = self.accept()

    def listen(self, port):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(f"{self.base}_{port}")
        sock.listen(16)
        return sock

    @staticmethod
    def free_display():
        for number in range(90, 300):
            if not os.path.exists(f"/tmp/.X11-unix/X{number}") and \
                    not os.path.exists(f"/tmp/.X{number}-lock"):
                return number
        raise Skip("no free X display number")

    def accept(self, timeout=30):
        self.listener.settimeout(timeout)
        return Connection(self.listener.accept()[0])

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.listener.close()
        # The browser's children need a moment to follow it; they may still write to its profile.
        for _ in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(0.1)
        return self.process.returncode

    def log_text(self):
        self.log.flush()
        with open(self.log.name, "rb") as log:
            return log.read().decode(errors="replace")


def fails(code, function, *arguments, **members):
    try:
        function(*arguments, **members)
    except AgentError as error:
        assert error.code == code, f"expected {code}, got {error}"
        return error.message
    raise AssertionError(f"expected {code}, but it worked")


def exec_(conn, *argv, blob=b"", **members):
    reply = conn.call("exec", blob, argv=list(argv), **members)
    out = reply["_blob"][:reply["stdout"]]
    err = reply["_blob"][reply["stdout"]:]
    assert len(err) == reply["stderr"]
    return reply, out, err


# --- without a display --------------------------------------------------------------------------

def test_hello(agent):
    hello = agent.conn.wait_event(event="hello")
    assert hello["protocol"] == 1 and hello["root"] is False
    assert hello["kernel"] == os.uname().release and hello["boot_ms"] > 0 and hello["agent"]
    stage = agent.conn.wait_event(event="ready", stage="agent")
    assert stage["boot_ms"] <= hello["boot_ms"]
    assert agent.conn.events.index(hello) == 0


def test_exec_output_and_status(agent):
    reply, out, err = exec_(agent.conn, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (out, err, reply["exit"]) == (b"out\n", b"err\n", 7)
    assert reply["timed_out"] is False and reply["duration_ms"] >= 0
    assert (reply["stdout_total"], reply["stderr_total"]) == (4, 4)
    reply, _, _ = exec_(agent.conn, "sh", "-c", "kill -SEGV $$")
    assert reply["signal"] == 11 and "exit" not in reply and "blob" not in reply


def test_exec_user_and_environment(agent):
    _, out, _ = exec_(agent.conn, "sh", "-c", "id -u; id -g; id -G; pwd; env | sort; umask",
                      env={"FOO": "bär", "LANG": "C"})
    lines = out.decode().split("\n")
    assert lines[0:4] == ["1000", "1000", "1000", agent.home], lines
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    assert env["FOO"] == "bär" and env["LANG"] == "C" and env["HOME"] == agent.home
    assert env["DISPLAY"] == f":{agent.display}" and env["USER"] == env["LOGNAME"] == "agent"
    assert "SUDO_USER" not in env and "0022" in lines
    _, out, _ = exec_(agent.conn, "grep", "-E", "NoNewPrivs|SigBlk|SigIgn|CapEff",
                      "/proc/self/status")
    values = dict(line.split(":\t") for line in out.decode().strip().split("\n"))
    assert values["NoNewPrivs"] == "1" and int(values["CapEff"], 16) == 0
    # posix_spawn() leaves the C library's own signals, 32 and 33, ignored: nobody can change that.
    ignored = int(values["SigIgn"], 16) & ~(3 << 31)
    assert int(values["SigBlk"], 16) == 0 and ignored == 0, values


def test_exec_fds(agent):
    _, out, _ = exec_(agent.conn, "sh", "-c", "ls /proc/$$/fd; ls -l /proc/$$/fd/0")
    fds = out.split(b"\n")
    assert fds[:3] == [b"0", b"1", b"2"] and b"/dev/null" in fds[-2], out


def test_exec_stdin(agent):
    data = os.urandom(BLOB_MAX)
    _, out, _ = exec_(agent.conn, "sha256sum", blob=data)
    assert out.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_exec_output_is_capped(agent):
    reply, out, err = exec_(agent.conn, "sh", "-c",
                            "head -c 3000000 /dev/zero; head -c 600000 /dev/zero >&2")
    assert len(out) == len(err) == OUTPUT_MAX
    assert (reply["stdout_total"], reply["stderr_total"]) == (3000000, 600000)


def test_exec_timeout(agent):
    reply, out, _ = exec_(agent.conn, "sh", "-c", "echo begun; sleep 1000", timeout_ms=2000)
    assert reply["timed_out"] and reply["signal"] == 15 and out == b"begun\n"
    reply, _, _ = exec_(agent.conn, "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done",
                        timeout_ms=2000)
    assert reply["timed_out"] and reply["signal"] == 9


def test_exec_daemon_does_not_hang(agent):
    _, out, _ = exec_(agent.conn, "sh", "-c", "setsid sleep 1000 & echo done")
    assert out == b"done\n"
    exec_(agent.conn, "pkill", "-u", "1000", "-x", "sleep")


def test_exec_errors(agent):
    call = agent.conn.call
    assert "/no/such" in fails("not_found", call, "exec", argv=["/no/such"])
    assert "passwd" in fails("failed", call, "exec", argv=["/etc/passwd"])
    assert "/nowhere" in fails("not_found", call, "exec", argv=["true"], cwd="/nowhere")
    for argv in ([], "true", [1], [""], None):
        fails("bad_request", call, "exec", argv=argv)
    for env in ([], {"A=B": "c"}, {"A": 1}, {"": "x"}):
        fails("bad_request", call, "exec", argv=["true"], env=env)
    for timeout in (0, -1, 3600001, "1", 1.5):
        fails("bad_request", call, "exec", argv=["true"], timeout_ms=timeout)
    fails("denied", call, "exec", argv=["true"], root=True)


def test_exec_many_at_once(agent):
    numbers = [agent.conn.begin("exec", argv=["sleep", "1000"]) for _ in range(32)]
    fails("busy", agent.conn.call, "exec", argv=["true"])
    exec_kill = subprocess.run(["pkill", "-u", str(UID), "-x", "sleep"], check=False)
    assert exec_kill.returncode == 0
    for number in numbers:
        assert agent.conn.end(number)["signal"] == 15


def test_requests_that_are_wrong(agent):
    conn = agent.conn
    fails("unknown_verb", conn.call, "frobnicate")
    conn.send({"id": 90001, "verb": 7})
    fails("bad_request", conn.end, 90001)
    conn.send({"verb": "clock"})
    conn.send({"id": 0, "verb": "clock"})
    conn.send({"id": "x", "verb": "clock"})
    assert conn.call("clock")["realtime_ns"] > 0
    conn.send({"id": 90002, "verb": "exec", "argv": ["sleep", "2"]})
    conn.send({"id": 90002, "verb": "clock"})
    fails("bad_request", conn.end, 90002)
    assert conn.end(90002)["exit"] == 0


def test_file_round_trip(agent):
    call = agent.conn.call
    data = os.urandom(8 << 20)
    for offset in range(0, len(data), BLOB_MAX):
        reply = call("file", data[offset:offset + BLOB_MAX], op="write", path="big.bin",
                     offset=offset, truncate=offset == 0)
        assert reply["size"] == offset + BLOB_MAX
    back = b""
    while True:
        reply = call("file", op="read", path=agent.home + "/big.bin", offset=len(back))
        back += reply["_blob"]
        if reply["eof"]:
            break
    assert back == data and reply["size"] == len(data) and reply["mode"] == 0o644
    st = os.stat(agent.home + "/big.bin")
    assert (st.st_uid, st.st_gid) == (UID, UID)
    reply = call("file", op="read", path="big.bin", offset=5, length=3)
    assert reply["_blob"] == data[5:8] and reply["eof"] is False
    reply = call("file", op="read", path="big.bin", offset=1 << 40)
    assert reply["_blob"] == b"" and reply["eof"] is True
    call("file", op="write", path="big.bin", truncate=True, mode=0o751)
    st = os.stat(agent.home + "/big.bin")
    assert st.st_size == 0 and st.st_mode & 0o7777 == 0o751
    call("file", op="remove", path="big.bin")
    fails("not_found", call, "file", op="read", path="big.bin")


def test_file_list(agent):
    exec_(agent.conn, "sh", "-c", "mkdir -p l/d && cd l && echo hi > b && ln -s /etc a && "
          "mkfifo p && touch \"$(printf 'x\\377y')\"")
    reply = agent.conn.call("file", op="list", path="l")
    got = [(e["name"], e["type"]) for e in reply["entries"]]
    assert got == [("a", "link"), ("b", "file"), ("d", "dir"), ("p", "other"),
                   ("x\ufffdy", "file")], got
    assert reply["truncated"] is False and reply["entries"][1]["size"] == 3
    exec_(agent.conn, "sh", "-c", "mkdir -p many && cd many && seq -f f%05g 5000 | xargs touch")
    reply = agent.conn.call("file", op="list", path="many")
    assert reply["truncated"] is True and len(reply["entries"]) > 100
    fails("failed", agent.conn.call, "file", op="read", path="l/p")
    fails("failed", agent.conn.call, "file", op="write", path="l/p")
    fails("failed", agent.conn.call, "file", op="read", path="l")
    fails("failed", agent.conn.call, "file", op="remove", path="l")
    agent.conn.call("file", op="remove", path="l/d/")


def test_file_stays_inside(agent):
    call = agent.conn.call
    exec_(agent.conn, "sh", "-c", "ln -sf /etc etc; ln -sf ../../../../../../etc up; "
          "ln -sf /proc/self/root magic; ln -sf l in; mkdir -p l; echo x > l/f; "
          "ln -sf nowhere dangling")
    for path in ("/etc/passwd", "/", "/home", "/tmpx", "../x", "etc/passwd", "up/passwd",
                 "/tmp/../etc/passwd", "magic/etc/passwd", agent.home + "/../x",
                 agent.home + "x"):
        fails("denied", call, "file", op="read", path=path)
        fails("denied", call, "file", op="write", path=path)
    for path in ("etc/passwd", "../x"):
        fails("denied", call, "file", op="remove", path=path)
        fails("denied", call, "file", op="list", path=os.path.dirname(path))
    assert call("file", op="read", path="in/f")["_blob"] == b"x\n"
    for path in (".", "..", agent.home, "l/.."):
        fails("bad_request", call, "file", op="remove", path=path)
    for path in ("", "x" * 5000, 7):
        fails("bad_request", call, "file", op="read", path=path)
    fails("bad_request", call, "file", op="chmod", path="l")
    for members in ({"offset": -1}, {"length": BLOB_MAX + 1}, {"mode": 0o7777}, {"truncate": 1}):
        fails("bad_request", call, "file", op="read", path="l/f", **members)
    secret = os.path.join(agent.home, "secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write("root's")
    os.chmod(secret, 0o600)
    fails("denied", call, "file", op="read", path="secret")
    fails("denied", call, "file", op="write", path="secret")


def test_clock(agent):
    clock = agent.conn.call("clock")
    assert abs(clock["realtime_ns"] - time.time_ns()) < 5e9
    assert 0 < clock["monotonic_ns"] <= clock["boottime_ns"]
    # Never with a value that could be taken: this machine's clock isn't the test's to set.
    fails("denied", agent.conn.call, "clock", op="set", realtime_ns=0)
    fails("bad_request", agent.conn.call, "clock", op="turn")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_relay(agent):
    port = free_port()
    server = agent.listen(7001)
    agent.conn.call("relay", port=port, to=7001)
    data = os.urandom(4 << 20)

    def serve():
        peer = server.accept()[0]
        got = b""
        while chunk := peer.recv(1 << 16):
            got += chunk
        peer.sendall(hashlib.sha256(got).digest() + got)
        peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(20)
        sender = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        sender.start()
        back = b""
        while chunk := sock.recv(1 << 16):
            back += chunk
        sender.join()
    thread.join()
    assert back == hashlib.sha256(data).digest() + data
    with socket.create_connection(("127.0.0.1", port)) as sock:
        peer = server.accept()[0]
        peer.close()
        assert sock.recv(1) == b""
    server.close()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(5)
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
    fails("bad_request", agent.conn.call, "relay", port=0, to=1)
    fails("bad_request", agent.conn.call, "relay", port=80)
    taken = socket.create_server(("127.0.0.1", 0))
    fails("failed", agent.conn.call, "relay", port=taken.getsockname()[1], to=7001)
    taken.close()


def test_reconnect(agent):
    exec_(agent.conn, "true")
    agent.conn.begin("exec", argv=["sh", "-c", "sleep 1033.25"])
    time.sleep(0.3)
    agent.conn.sock.close()
    agent.conn = agent.accept()
    hello = agent.conn.wait_event(event="hello")
    assert agent.conn.events[0] is hello
    agent.conn.wait_event(event="ready", stage="agent")
    _, out, _ = exec_(agent.conn, "sh", "-c", "pgrep -f 'sleep 1033[.]25' || echo none")
    assert out == b"none\n", "the lost connection's command lives on"
    agent.conn.sock.sendall(b"garbage\n")
    agent.conn = agent.accept()
    assert agent.conn.call("clock")["realtime_ns"]


def test_reconnect_is_at_once(agent):
    """A connection that was of use is missed: waits that double would add up to 14 s."""
    start = time.monotonic()
    for _ in range(20):
        agent.conn.call("clock")
        agent.conn.sock.close()
        agent.conn = agent.accept()
    assert time.monotonic() - start < 10
    assert agent.conn.wait_event(event="hello")


GENERATION = {"generation": "00112233445566778899aabbccddeeff", "session": "a clone",
              "realtime_ns": 1800000000 * 10 ** 9}


def test_generation(agent):
    """A process of a host is no clone, and leaves clock and card alone."""
    call = agent.conn.call
    before = time.time_ns()
    for id_ in (GENERATION["generation"], GENERATION["generation"].upper(), "f" * 32, "f" * 32):
        reply = call("generation", **dict(GENERATION, generation=id_, mac="02:00:00:00:00:01"))
        assert reply["announced"] == 0
        assert before <= reply["realtime_ns"] <= time.time_ns()
    agent.conn.sock.close()
    agent.conn = agent.accept()
    assert agent.conn.call("generation", **GENERATION)["announced"] == 0
    assert "this is session a clone" in agent.log_text()


def test_generation_errors(agent):
    for name in GENERATION:
        members = {k: v for k, v in GENERATION.items() if k != name}
        assert name in fails("bad_request", agent.conn.call, "generation", **members)
    for name, values in {
            "generation": (7, "", "0" * 31, "0" * 33, "g" * 32, "0x" + "0" * 30, "-" + "0" * 31),
            "session": (7, None, ["a"]),
            "realtime_ns": (0, -1, 10 ** 18, 5 * 10 ** 18, "1800000000000000000", 1.8e18),
            "mac": (7, "", "02:00:00:00:00", "02:00:00:00:00:01:02", "01:00:00:00:00:01",
                    "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02-00-00-00-00-01",
                    "02:00:00:00:00:0g")}.items():
        for value in values:
            assert name in fails("bad_request", agent.conn.call, "generation",
                                 **dict(GENERATION, **{name: value}))


def test_tidy(agent):
    reply = agent.conn.call("tidy")
    assert {k: v for k, v in reply.items() if not k.startswith("_")} == {"id": reply["id"],
                                                                         "ok": True}
    fails("bad_request", agent.conn.call, "tidy", timeout_ms=0)


# --- with a display -----------------------------------------------------------------------------

def test_display(agent):
    agent.conn.wait_event(event="ready", stage="display")
    reply = agent.conn.call("display")
    assert (reply["width"], reply["height"], reply["stride"]) == (1280, 800, 5120)
    assert reply["size"] == 4099232
    frames = [int.from_bytes(reply["_blob"][i:i + 8], "little")
              for i in range(0, len(reply["_blob"]), 8)]
    assert len(frames) == (reply["size"] + 4095) // 4096 and len(set(frames)) == len(frames)
    assert agent.conn.call("display")["_blob"] == reply["_blob"]


# --- with a browser -----------------------------------------------------------------------------

PAGE = """<!doctype html><meta charset=utf-8><title>keys</title>
<style>body{margin:0;background:#123456}textarea{position:absolute;left:100px;top:50px;
width:600px;height:300px}</style><textarea id=t autofocus></textarea><script>
let log=[];t.oninput=()=>post();onkeydown=e=>{log.push((e.ctrlKey?'C':'')+(e.shiftKey?'S':'')+
(e.altKey?'A':'')+e.key);post()};onmousedown=e=>{log.push('down'+e.button+'@'+e.clientX+','+
e.clientY);post()};oncontextmenu=e=>e.preventDefault();onwheel=e=>{log.push('wheel'+Math.sign(e.deltaX)+','+Math.sign(e.deltaY));post()}
let busy=false,again=false;async function post(){if(busy){again=true;return}busy=true;do{again=false;
await fetch('/state',{method:'POST',body:JSON.stringify({value:t.value,log,focus:document.hasFocus(),
w:innerWidth,h:innerHeight,ow:outerWidth,oh:outerHeight})})}while(again);busy=false}
post();</script>"""


class Site:
    """A web server that the pages report to."""

    def __init__(self):
        site = self
        self.state = {}
        self.changed = threading.Condition()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format, *args):
                pass

            def answer(self, status, kind, body, **headers):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path.startswith("/keys"):
                    self.answer(200, "text/html", PAGE.encode())
                elif self.path == "/slow":
                    time.sleep(3)
                    self.answer(200, "text/html", b"<title>slow</title>")
                elif self.path == "/moved":
                    self.answer(302, "text/plain", b"", Location="/two")
                elif self.path == "/script-moved":
                    self.answer(200, "text/html", b"<script>location.replace('/two')</script>")
                elif self.path == "/alert":
                    self.answer(200, "text/html", b"<title>a</title><script>alert(1)</script>")
                elif self.path == "/two":
                    self.answer(200, "text/html", b"<meta charset=utf-8><title>zwei \xc3\xa4</title>two")
                elif self.path == "/file":
                    self.answer(200, "application/octet-stream", b"x" * 10)
                elif self.path == "/nothing":
                    self.answer(204, "text/plain", b"")
                elif self.path == "/big":
                    self.answer(200, "text/html", b"<script>console.log('x'.repeat(12e6));" +
                                b"history.pushState(0,'','/big#'+'y'.repeat(1e6))</script>big")
                else:
                    self.answer(404, "text/html", b"<title>no</title>404")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with site.changed:
                    site.state = json.loads(body)
                    site.changed.notify_all()
                self.answer(200, "text/plain", b"ok")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # a browser may hang up at any time
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, condition, what, timeout=60):
        with self.changed:
            if not self.changed.wait_for(lambda: condition(self.state), timeout):
                raise AssertionError(f"never happened: {what}; state {str(self.state)[:2000]}")
            return self.state


SITE = None


def browser_ready(agent):
    agent.conn.wait_event(event="ready", stage="browser", timeout=120)


def keys_page(agent, focus=True):
    browser_ready(agent)
    SITE.state = {}
    reply = agent.conn.call("browser", op="navigate", url=SITE.url + "/keys?" + str(time.time()))
    assert reply["title"] == "keys" and reply["status"] == 200, reply
    SITE.wait(lambda s: s.get("value") == "", "the page's first report")
    if focus:
        click(agent, 400, 200)
        SITE.wait(lambda s: any(e.startswith("down0") for e in s["log"]), "a click")


def steps(agent, *list_, timeout_ms=120000):
    reply = agent.conn.call("input", steps=list(list_), timeout_ms=timeout_ms)
    assert reply["steps"] == len(list_)
    return reply


def click(agent, x, y):
    return steps(agent, {"move": [x, y]}, {"button": 1})


def type_and_expect(agent, text, expected=None):
    steps(agent, {"text": text})
    expected = text if expected is None else expected
    SITE.wait(lambda s: s["value"] == expected, f"typing {expected[:200]!r}")


def test_browser_navigation(agent):
    browser_ready(agent)
    call = agent.conn.call
    reply = call("browser", op="navigate", url=SITE.url + "/two")
    assert (reply["url"], reply["title"], reply["status"]) == (SITE.url + "/two", "zwei ä", 200)
    assert call("browser", op="navigate", url=SITE.url + "/gone")["status"] == 404
    assert call("browser", op="back")["title"] == "zwei ä"
    assert call("browser", op="reload")["title"] == "zwei ä"
    assert call("browser", op="navigate", url=SITE.url + "/moved")["url"] == SITE.url + "/two"
    reply = call("browser", op="navigate", url=SITE.url + "/script-moved")
    assert reply["url"] == SITE.url + "/two", reply
    reply = call("browser", op="navigate", url=SITE.url + "/two#here")
    assert reply["url"].endswith("#here")
    assert call("browser", op="back")["url"] == SITE.url + "/two"
    reply = call("browser", op="navigate", url="data:text/html,<title>d</title>" + "x" * 30000)
    assert reply["title"] == "d" and reply["url"].startswith("data:text/html")
    state = call("browser", op="state")
    assert state["title"] == "d" and state["loading"] is False
    call("browser", op="navigate", url=SITE.url + "/slow", wait="none")
    assert call("browser", op="navigate", url="about:blank")["url"] == "about:blank"


def test_browser_errors(agent):
    browser_ready(agent)
    call = agent.conn.call
    call("browser", op="navigate", url=SITE.url + "/two")
    message = fails("failed", call, "browser", op="navigate", url="http://127.0.0.1:1/")
    assert "ERR_" in message
    # Only then is it answered, when the error's page is there: with its own address and title.
    state = call("browser", op="state")
    assert (state["url"], state["title"]) == ("http://127.0.0.1:1/", "127.0.0.1"), state
    call("browser", op="navigate", url=SITE.url + "/two")
    fails("failed", call, "browser", op="navigate", url=SITE.url + "/nothing")
    fails("failed", call, "browser", op="navigate", url=SITE.url + "/file")
    state = call("browser", op="state")
    assert (state["url"], state["title"]) == (SITE.url + "/two", "zwei ä"), state
    for url in ("file:///etc/passwd", "chrome://settings", "javascript:alert(1)",
                "devtools://devtools", " http://x/", "view-source:http://x", "", "ja\nvascript:1",
                "about:about", "ftp://x", "blob:http://x"):
        fails("denied", call, "browser", op="navigate", url=url)
    fails("bad_request", call, "browser", op="navigate")
    fails("bad_request", call, "browser", op="navigate", url=7)
    fails("bad_request", call, "browser", op="forward")
    fails("bad_request", call, "browser", op="state", wait="ever")
    message = fails("timeout", call, "browser", op="navigate", url=SITE.url + "/slow",
                    timeout_ms=500)
    assert "waiting for" in message
    call("browser", op="navigate", url=SITE.url + "/two")


def test_browser_dialog(agent):
    browser_ready(agent)
    reply = agent.conn.call("browser", op="navigate", url=SITE.url + "/alert")
    assert reply["dialog"] is True
    time.sleep(1)
    steps(agent, {"key": "Return"})
    assert agent.conn.call("browser", op="navigate", url=SITE.url + "/two")["status"] == 200


def test_browser_survives_big_messages(agent):
    browser_ready(agent)
    agent.conn.call("browser", op="navigate", url=SITE.url + "/big")
    assert agent.conn.call("browser", op="state")["url"].startswith(SITE.url + "/big")
    assert agent.conn.call("browser", op="navigate", url=SITE.url + "/two")["status"] == 200


def wait_front(agent, condition, timeout=60):
    """Waits for a page to be in front."""
    deadline = time.monotonic() + timeout
    while not condition(state := agent.conn.call("browser", op="state")):
        assert time.monotonic() < deadline, f"another page stays in front: {state}"
        time.sleep(0.1)


def test_browser_follows_the_front_tab(agent):
    browser_ready(agent)
    call = agent.conn.call
    call("browser", op="navigate", url=SITE.url + "/two")
    steps(agent, {"key": "ctrl+t"})
    wait_front(agent, lambda state: state["url"] != SITE.url + "/two")
    call("browser", op="navigate", url=SITE.url + "/gone")
    assert call("browser", op="state")["title"] == "no"
    steps(agent, {"key": "ctrl+1"})
    wait_front(agent, lambda state: state["title"] == "zwei ä")
    steps(agent, {"key": "ctrl+2"})
    wait_front(agent, lambda state: state["title"] == "no")
    steps(agent, {"key": "ctrl+w"})
    wait_front(agent, lambda state: state["title"] == "zwei ä")


def test_browser_fills_the_screen(agent):
    keys_page(agent)
    steps(agent, {"text": "x"})
    state = SITE.wait(lambda s: s["value"] == "x", "a key")
    assert (state["ow"], state["oh"], state["w"]) == (1280, 800, 1280), state
    assert 600 < state["h"] < 760, state


def test_input_pointer(agent):
    keys_page(agent)
    reply = steps(agent, {"move": [1000, 600]}, {"button": 3, "down": True},
                  {"button": 3, "down": False}, {"key": "Escape"})
    assert (reply["x"], reply["y"]) == (1000, 600)
    SITE.wait(lambda s: any(e.startswith("down2@1000,") for e in s["log"]), "a right click")
    steps(agent, {"button": 5})
    SITE.wait(lambda s: "wheel0,1" in s["log"], "a wheel turn")
    steps(agent, {"button": 7})
    SITE.wait(lambda s: "wheel1,0" in s["log"], "a sideways wheel turn")


def test_input_keys(agent):
    keys_page(agent)
    type_and_expect(agent, "one two")
    steps(agent, {"key": "ctrl+a"}, {"key": "BackSpace"})
    SITE.wait(lambda s: s["value"] == "" and "Ca" in s["log"], "select all, delete")
    type_and_expect(agent, "abc")
    steps(agent, {"key": "shift+Home"}, {"key": "Delete"})
    SITE.wait(lambda s: s["value"] == "" and "SHome" in s["log"], "select to the start")
    steps(agent, {"key": "shift", "down": True}, {"key": "a"}, {"key": "shift", "down": False},
          {"key": "a"}, {"key": "+"}, {"key": "shift+b"}, {"key": "é"}, {"key": "ctrl++"})
    SITE.wait(lambda s: s["value"] == "Aa+Bé" and "C+" in s["log"] or "CS+" in s["log"], "chords")
    steps(agent, {"key": "ctrl+0"}, {"key": "PageDown"}, {"key": "page_up"}, {"key": "ArrowLeft"},
          {"key": "F2"}, {"key": "Esc"}, {"key": "Enter"})
    SITE.wait(lambda s: s["log"][-5:] == ["PageUp", "ArrowLeft", "F2", "Escape", "Enter"],
              "named keys")


def test_input_goes_to_the_page_after_navigate(agent):
    steps(agent, {"move": [1279, 799]})
    keys_page(agent, focus=False)
    type_and_expect(agent, "no click needed")


UNICODE = "é漢🙂ßΩ€ñ\n\tÄÖÜ„“…–½שלוםمرحبаб한글日本語😀👍🏽𝔘"


def test_input_unicode(agent):
    keys_page(agent)
    text = UNICODE.replace("\t", "")
    type_and_expect(agent, text)
    steps(agent, {"text": "\t"})
    SITE.wait(lambda s: s["log"][-1] == "Tab", "tab")


def test_input_unicode_beyond_spare_keys(agent):
    keys_page(agent)
    text = "".join(chr(0x4e00 + i) for i in range(300)) + "abc" + \
        "".join(chr(0x1f600 + i) for i in range(60)) + "Z"
    type_and_expect(agent, text)
    steps(agent, {"key": "ctrl+a"}, {"key": "Delete"})
    SITE.wait(lambda s: s["value"] == "", "delete")
    type_and_expect(agent, text[::-1])


def test_input_ascii_long(agent):
    keys_page(agent)
    text = "".join(chr(c) for c in range(0x20, 0x7f)) * 20
    type_and_expect(agent, text)


def test_input_caps_lock(agent):
    keys_page(agent)
    steps(agent, {"key": "CapsLock"}, {"text": "aB"}, {"key": "c"}, {"key": "CapsLock"},
          {"key": "d"})
    SITE.wait(lambda s: s["value"] == "aBCd", "caps lock")


def keysyms(*numbers):
    """Each pressed and released, one after the other."""
    return [{"keysym": number, "down": down} for number in numbers for down in (True, False)]


SHIFT, CONTROL = 0xffe1, 0xffe3


def test_input_keysyms_of_any_layout(agent):
    """As a viewer sends them: Shift+7 is a slash on its keyboard, and isn't on the guest's."""
    def held(number, *between):
        return [{"keysym": number, "down": True}, *between, {"keysym": number, "down": False}]

    keys_page(agent)
    steps(agent, *held(SHIFT, *keysyms(ord("/"), ord("A"), ord("="))), *keysyms(ord("a")))
    SITE.wait(lambda s: s["value"] == "/A=a", "another layout's shift")
    # Without Shift: the viewer has Caps Lock on, or a key of its own.
    steps(agent, *keysyms(ord("B"), ord("?"), ord("b"), 0xe9, 0x010020ac, 0x0101f642, 0xffb7))
    SITE.wait(lambda s: s["value"] == "/A=aB?bé€🙂7", "keys that the guest has elsewhere or not at all")
    steps(agent, {"key": "CapsLock"}, *keysyms(ord("c"), ord("C")), {"key": "CapsLock"})
    SITE.wait(lambda s: s["value"].endswith("7cC"), "the guest's own caps lock")
    steps(agent, *held(CONTROL, *keysyms(ord("a"))), *keysyms(0xff08))
    SITE.wait(lambda s: s["value"] == "" and "Ca" in s["log"], "select all, delete")
    steps(agent, *held(SHIFT, *keysyms(0xff51)))
    SITE.wait(lambda s: s["log"][-1] == "SArrowLeft", "shift with a key that writes nothing")


def test_input_keysyms_are_let_go(agent):
    keys_page(agent)
    # Shift is let go before the key: the same key has another name by then.
    steps(agent, {"keysym": SHIFT, "down": True}, {"keysym": ord("A"), "down": True},
          {"keysym": SHIFT, "down": False}, {"keysym": ord("a"), "down": False})
    value = SITE.wait(lambda s: s["value"].startswith("A"), "a key")["value"]
    time.sleep(1.5)  # a key that is still down would repeat
    assert SITE.wait(lambda s: True, "the state")["value"] == value
    steps(agent, *keysyms(ord("b")), {"keysym": ord("q"), "down": False})
    SITE.wait(lambda s: s["value"] == value + "b", "another key")


def test_input_errors(agent):
    agent.conn.wait_event(event="ready", stage="display")
    call = agent.conn.call
    bad = ({"move": [1280, 0]}, {"move": [0, -1]}, {"move": [1]}, {"move": "x"}, {"button": 10},
           {"button": 0}, {"button": 1, "down": 1}, {"key": "nosuchkey"}, {"key": ""},
           {"key": "ctrl+"}, {"key": 5}, {"text": 5}, {"text": "\x07"}, {"sleep_ms": -1},
           {"sleep_ms": 10 ** 9}, {}, 5, {"jump": 1})
    for step in bad:
        message = fails("bad_request", call, "input", steps=[{"sleep_ms": 0}, step])
        assert "step 1" in message, message
    fails("bad_request", call, "input", steps="x")
    fails("bad_request", call, "input")
    fails("bad_request", call, "input", steps=[{"sleep_ms": 0}] * 1025)
    assert call("input", steps=[])["steps"] == 0
    first = agent.conn.begin("input", steps=[{"sleep_ms": 5000}], timeout_ms=300)
    second = agent.conn.begin("input", steps=[{"move": [5, 6]}], timeout_ms=10000)
    fails("timeout", agent.conn.end, first)
    reply = agent.conn.end(second)
    assert (reply["x"], reply["y"]) == (5, 6)


def test_window_closed_gives_focus_back(agent):
    keys_page(agent)
    steps(agent, {"key": "ctrl+n"})
    wait_front(agent, lambda state: not state["url"].startswith(SITE.url))
    steps(agent, {"key": "ctrl+w"})
    wait_front(agent, lambda state: state["url"].startswith(SITE.url))
    # The page is in front before it has the focus; until then keys go nowhere.
    for attempt in range(20):
        steps(agent, {"key": "ctrl+a"}, {"text": "back"})
        try:
            SITE.wait(lambda s: s["value"] == "back", "typing after a window was closed", 3)
            return
        except AssertionError:
            if attempt == 19:
                raise


def test_sandbox_is_on(agent):
    browser_ready(agent)
    listing = subprocess.run(["ps", "-eo", "pid,uid,args"], capture_output=True, text=True,
                             check=True).stdout
    ours = [line for line in listing.split("\n") if agent.home in line and "chromium" in line]
    assert ours and all(line.split()[1] == str(UID) for line in ours)
    assert "--no-sandbox" not in listing
    renderers = [line.split()[0] for line in listing.split("\n") if "--type=renderer" in line]
    assert renderers
    for pid in renderers:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            assert "Seccomp:\t2" in status.read(), "a renderer without its seccomp filter"
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")


def test_zz_deaths_are_told(agent):
    browser_ready(agent)
    pids = subprocess.run(["pgrep", "-f", f"chromium.*{agent.home}/.cloche-browser"],
                          capture_output=True, text=True, check=True).stdout.split()
    parent = [p for p in pids if open(f"/proc/{p}/stat", encoding="ascii").read()
              .split(") ")[1].split()[1] == str(agent.process.pid)]
    number = agent.conn.begin("browser", op="navigate", url=SITE.url + "/slow")
    time.sleep(0.3)
    os.kill(int(parent[0]), signal.SIGKILL)
    died = agent.conn.wait_event(event="died", process="browser")
    assert died["signal"] == 9
    fails("gone", agent.conn.end, number)
    fails("not_ready", agent.conn.call, "browser", op="state")
    steps(agent, {"move": [3, 4]})
    subprocess.run(["pkill", "-KILL", "-f", f"Xvfb :{agent.display} "], check=True)
    assert agent.conn.wait_event(event="died", process="xvfb")["signal"] == 9
    fails("not_ready", agent.conn.call, "display")
    fails("not_ready", agent.conn.call, "input", steps=[{"move": [3, 4]}])
    agent.conn.sock.close()
    agent.conn = agent.accept()
    agent.conn.wait_event(event="died", process="xvfb")
    agent.conn.wait_event(event="died", process="browser")
    assert exec_(agent.conn, "true")[0]["exit"] == 0


def test_zzz_shutdown(agent):
    fails("bad_request", agent.conn.call, "shutdown", mode="explode")
    agent.conn.call("shutdown", mode="poweroff")
    assert agent.process.wait(10) == 0


# --- running them -------------------------------------------------------------------------------

def needs(name):
    if name.startswith(("test_browser", "test_input_", "test_window", "test_sandbox", "test_zz_")) \
            and name != "test_input_errors":
        return "browser"
    return "display" if name in ("test_display", "test_input_errors") else "nothing"


def what_is_missing():
    missing = {}
    if os.environ.get(INSIDE) != "1":
        missing["nothing"] = "needs root and namespaces of its own (unshare)"
    if not shutil.which("Xvfb"):
        missing["display"] = "Xvfb isn't installed"
    if not os.path.exists(BROWSER):
        missing["browser"] = "Chromium isn't installed"
    elif subprocess.run(["unshare", "-U", "-r", "true"], user=UID, group=UID, extra_groups=[],
                        check=False, stderr=subprocess.DEVNULL).returncode:
        missing["browser"] = "uid 1000 can't make user namespaces here: no sandbox for Chromium"
    if "nothing" in missing:
        missing["display"] = missing["nothing"]
    if "display" in missing:
        missing.setdefault("browser", missing["display"])
    return missing


def enter_namespaces():
    """Starts this script anew where it can leave nothing behind; returns if there is no such place."""
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc"]
    if os.geteuid() == 0 and shutil.which("unshare") and \
            subprocess.run([*inside, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp(inside[0], [*inside, sys.executable, os.path.abspath(__file__), *sys.argv[1:]])


def hide_folders(agent):
    """Mounts memory over the folders that the programs write to; the agent's new path."""
    mount = ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs"]
    subprocess.run([*mount, "/dev/shm"], check=True)
    agent = shutil.copy(agent, "/dev/shm/cloche-agent")
    subprocess.run([*mount, "/tmp"], check=True)
    os.chdir("/")
    return agent


def burn():
    while True:
        hashlib.sha256(b"x" * 65536)


def run_test(name, function, agent):
    start = time.monotonic()
    try:
        function(agent)
    except Skip as skip:
        print(f"SKIP {name}: {skip}", flush=True)
        return "skipped"
    except Exception:  # the test's failure is the news, whatever it is
        print(f"FAIL {name} ({time.monotonic() - start:.1f} s)", flush=True)
        traceback.print_exc(file=sys.stdout)
        print("the agent's log ends:\n" + agent.log_text()[-2000:], flush=True)
        return "failed"
    print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return "passed"


def main():
    global SITE
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent")
    parser.add_argument("-k", action="append", default=[], metavar="WORD")
    parser.add_argument("--load", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        enter_namespaces()
    tests = [(n, f) for n, f in sorted(globals().items(), key=lambda i: i[0].startswith("test_zz"))
             if n.startswith("test_") and (not options.k or any(w in n for w in options.k))]
    missing = what_is_missing()
    total = {"passed": 0, "failed": 0, "skipped": 0}
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(options.load)]
    for burner in burners:
        burner.start()
    SITE = Site()
    agent = None
    if "nothing" not in missing:
        options.agent = hide_folders(options.agent)
        os.mkdir("/tmp/.X11-unix")
        os.chmod("/tmp/.X11-unix", 0o1777)
        agent = Agent(options.agent, *(["--no-browser"] if "browser" in missing else []))
    for name, function in tests:
        why = missing.get(needs(name))
        if why:
            print(f"SKIP {name}: {why}", flush=True)
            total["skipped"] += 1
        else:
            total[run_test(name, function, agent)] += 1
    if agent:
        agent.close()
    for burner in burners:
        burner.kill()
    print(", ".join(f"{count} {word}" for word, count in total.items()))
    sys.exit(1 if total["failed"] else 0)


if __name__ == "__main__":
    main()
