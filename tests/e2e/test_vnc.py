# SPDX-License-Identifier: GPL-2.0-or-later
"""People who watch through VNC: what they see, and which of them may act."""
import os
import random
import shutil
import socket
import subprocess
import threading

import programs
from programs import cloche
from harness import PATIENCE, Skip, check, contains, equal, test, wait_until

MODULES = os.path.join(programs.TREE, "build/npm/node_modules")
SHIFT, RETURN = 0xffe1, 0xff0d
PATCH = (60, 60)  # of the page, inside its first block
BLOCK = 0xff0000


class Viewer:
    """A viewer of libvncclient's."""
    COMMAND = [os.path.join(programs.TREE, "build/tests/viewer")]

    def __init__(self, guest, *encodings):
        self.process = subprocess.Popen([*self.COMMAND, guest.path("vnc.sock"), *encodings],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True,
                                        env=os.environ | {"NODE_PATH": MODULES,
                                                          "NODE_NO_WARNINGS": "1"})
        width, height, self.title = self.answer().split(" ", 2)
        self.width, self.height = int(width), int(height)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the viewer's connection broke: {self.process.stderr.read()}")
        return line.strip()

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        equal(self.answer(), "done", f"the answer to {words}")

    def look(self):
        path = os.path.join(programs.RUNTIME, f"look-{self.process.pid}")
        self.do("look", path)
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return data

    def type(self, text):
        for letter in text:
            self.do("key", ord(letter), 1)
            self.do("key", ord(letter), 0)

    def click(self, x, y):
        self.do("point", x, y, 0)
        self.do("point", x, y, 1)
        self.do("point", x, y, 0)

    def leave(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class NpmViewer(Viewer):
    """A viewer of rfb2's, which comes from npm."""
    COMMAND = ["node", os.path.join(programs.TREE, "tests/e2e/rfb2/viewer.js")]


def bare(guest):
    """A connection at whose other end nobody speaks yet."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(guest.path("vnc.sock"))
    return sock


def hear(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        check(part, f"the VMM closed the connection after {len(data)} of {size} bytes")
        data += part
    return data


def introduce(sock):
    """Through the greetings. The size of the screen."""
    equal(hear(sock, 12), b"RFB 003.008\n", "the greeting")
    sock.sendall(b"RFB 003.008\n")
    equal(hear(sock, 2), b"\1\1", "the security types")
    sock.sendall(b"\1")
    equal(hear(sock, 4), b"\0" * 4, "the security result")
    sock.sendall(b"\1")
    init = hear(sock, 24)
    hear(sock, int.from_bytes(init[20:], "big"))
    return int.from_bytes(init[:2], "big"), int.from_bytes(init[2:4], "big")


def is_closed(sock):
    """Waits until the other end has closed; what comes before is dropped."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def state(guest):
    return cloche("--json", "control", guest.name, status=0).json()


def alone(guest):
    wait_until(lambda: not state(guest)["viewers"], "the last viewer's leaving")


def threads(guest):
    """The names of the VMM's threads."""
    folder = f"/proc/{guest.facts()['pid']}/task"
    names = []
    for task in os.listdir(folder):
        try:
            with open(f"{folder}/{task}/comm", encoding="ascii") as file:
                names.append(file.read().strip())
        except OSError:
            pass
    return names


def rgb(guest):
    """The screen as the VMM reads it: width, height, rows of R, G, B bytes."""
    with guest.control() as control:
        reply = control.call("screenshot", format="rgb")
        check(reply["ok"], reply)
        with open(control.fds.pop(), "rb") as file:
            return reply["width"], reply["height"], file.read()


# The far corner: nothing changes there under the pointer.
def park(guest):
    guest.act("mouse_move", coordinate=[guest.loaded["screenWidth"] - 2,
                                        guest.loaded["screenHeight"] - 2])


def sees_the_screen(viewer, guest):
    """Waits until it does: a browser moves now and then, so both are asked until they agree."""
    equal((viewer.width, viewer.height), rgb(guest)[:2], "the size")
    contains(viewer.title, guest.name)
    wait_until(lambda: viewer.look() == rgb(guest)[2], "the screen as it is")


@test(guest="main")
def viewers_see_the_screen(guest):
    guest.open_test_page()
    park(guest)
    guest.settle()
    for encodings in ("raw", "hextile", "zlib", "zrle"):  # Tight's JPEG loses something
        with Viewer(guest, f"{encodings} raw") as viewer:
            sees_the_screen(viewer, guest)
            equal(viewer.leave(), 0, "the viewer's status")
    alone(guest)
    check("scan" not in threads(guest), "somebody looks on when all have left")
    check("viewer" not in threads(guest), "a viewer's thread is left")


def join_ports(guest, listener):
    """Takes one connection over TCP to the session's viewers."""
    there, _ = listener.accept()
    here = bare(guest)

    def copy(source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    others = threading.Thread(target=copy, args=(there, here), daemon=True)
    others.start()
    copy(here, there)
    others.join()
    there.close()
    here.close()


@test(guest="main")
def a_viewer_of_others_sees_it_too(guest):
    """Debian's vncsnapshot, through a port as ssh -L makes one."""
    if not shutil.which("vncsnapshot") or not shutil.which("djpeg"):
        raise Skip("vncsnapshot or djpeg is missing")
    guest.open_test_page()
    park(guest)
    guest.settle()
    width, height, wanted = rgb(guest)
    listener = socket.create_server(("127.0.0.1", 5977))
    relay = threading.Thread(target=join_ports, args=(guest, listener), daemon=True)
    relay.start()
    picture = os.path.join(programs.RUNTIME, "snapshot.jpg")
    result = programs.run(["vncsnapshot", "-quiet", "-encodings", "hextile", "-quality", "100",
                           "127.0.0.1:77", picture])
    listener.close()
    equal(result.status, 0, f"vncsnapshot's status ({result})")
    relay.join(PATIENCE)
    head, size, depth, pixels = programs.run(["djpeg", "-pnm", picture]).out.split(b"\n", 3)
    equal((head, size, depth), (b"P6", b"%d %d" % (width, height), b"255"), "the picture")
    left, top = guest.origin()
    # The middles of blocks: JPEG has no sharp edges.
    for x, y in ((70, 80), (170, 80), (270, 80), (380, 50), (490, 80), (640, 80), (745, 20)):
        at = 3 * (width * (top + y) + left + x)
        wrong = max(abs(a - b) for a, b in zip(pixels[at:at + 3], wanted[at:at + 3]))
        check(wrong <= 8, f"{x},{y} is {tuple(pixels[at:at + 3])}, not {tuple(wanted[at:at + 3])}")


@test(guest="main")
def a_viewer_from_npm_sees_it_and_types(guest):
    mark = guest.open_test_page()
    park(guest)
    guest.settle()
    first = guest.at(130, 180)
    with NpmViewer(guest) as viewer:
        sees_the_screen(viewer, guest)
        viewer.click(*first)
        viewer.type("not heard")
        cloche("control", guest.name, "--take", status=0)
        viewer.click(*first)
        guest.web.wait("focus", mark, target="first")
        viewer.type("From npm")
        guest.web.wait("input", mark, target="first", value="From npm")
        cloche("control", guest.name, "--release", status=0)
        viewer.type("not heard either")
        guest.act("type", text="!")
        guest.web.wait("input", mark, target="first", value="From npm!")
        equal(viewer.leave(), 0, "the viewer's status")
    alone(guest)


@test(guest="main")
def who_has_control_types_and_nobody_else(guest):
    mark = guest.open_test_page()
    first = guest.at(130, 180)
    with Viewer(guest) as viewer:
        number = state(guest)["viewers"][0]["viewer"]
        viewer.click(*first)
        viewer.type("not heard")
        taken = cloche("--json", "control", guest.name, "--take", status=0).json()
        equal(taken["holder"], number, "the holder")
        viewer.click(*first)
        guest.web.wait("focus", mark, target="first")
        viewer.type("By hand /")
        guest.web.wait("input", mark, target="first", value="By hand /")
        answer = cloche("--json", "act", guest.name, '{"action":"left_click","coordinate":[9,9]}')
        equal(answer.status, 1, "the status of an action meanwhile")
        equal(answer.json()["error"]["code"], "control_taken", "its error")
        with guest.control() as control:
            for request in ({"verb": "input", "steps": []}, {"verb": "browser", "op": "reload"}):
                equal(control.call("agent", request=request)["error"]["code"], "control_taken",
                      f"the answer to {request}")
            check(control.agent("browser", op="state")["ok"], "to look is refused, too")
        cloche("control", guest.name, "--release", status=0)
        viewer.type("not heard either")
        guest.act("type", text="!")
        guest.web.wait("input", mark, target="first", value="By hand /!")
    with open(guest.path("vmm.log"), encoding="utf-8") as log:
        lines = [line for line in log if f"viewer {number} " in line and "control" in line]
    equal(len(lines), 2, f"the lines on changes of hands: {lines}")
    alone(guest)


@test(guest="main")
def what_a_viewer_holds_is_let_go_when_it_leaves(guest):
    mark = guest.open_test_page()
    guest.act("left_click", coordinate=guest.at(130, 180))
    guest.web.wait("focus", mark, target="first")
    with Viewer(guest) as viewer:
        cloche("control", guest.name, "--take", status=0)
        viewer.do("key", SHIFT, 1)
        viewer.type("A")
        guest.web.wait("input", mark, target="first", value="A")
    alone(guest)
    check("holder" not in state(guest), "one that has left has control")
    guest.act("key", text="b")
    guest.web.wait("input", mark, target="first", value="Ab")


def sip(sock, stop):
    """A byte a second of screens without end."""
    width, height = introduce(sock)
    whole = bytes([3, 0]) + bytes(4) + width.to_bytes(2, "big") + height.to_bytes(2, "big")
    for _ in range(50):
        sock.sendall(whole)
    while not stop.wait(1):
        sock.recv(1)


@test(guest="main")
def a_slow_viewer_is_nobody_elses_affair(guest):
    guest.open_test_page()
    left, top = guest.origin()
    spot = (left + PATCH[0], top + PATCH[1])
    stop = threading.Event()
    with bare(guest) as slow, Viewer(guest) as one, Viewer(guest) as other:
        sipper = threading.Thread(target=sip, args=(slow, stop), daemon=True)
        sipper.start()
        for viewer in (one, other):
            viewer.do("wait", *spot, f"{BLOCK:06x}")
        # Pages come and go under the three of them.
        for _ in range(3):
            guest.open("/plain/other")
            for viewer in (one, other):
                viewer.do("wait", *spot, "ffffff")
            guest.open_test_page()
            for viewer in (one, other):
                viewer.do("wait", *spot, f"{BLOCK:06x}")
        equal(len(state(guest)["viewers"]), 3, "the number of viewers")
        check(sipper.is_alive(), "the slow one has gone")
        stop.set()
        sipper.join()
    alone(guest)


@test(guest="main")
def who_speaks_no_rfb_is_sent_away(guest):
    words = [b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 20,
             random.Random(5).randbytes(4000)]
    for said in words:
        with bare(guest) as sock:
            sock.sendall(said)
            check(is_closed(sock), "")
    for said in (b"\x07" * 20, b"\xff" * 100,
                 b"\2\0\xff\xff", b"\6\0\0\0\x7f\xff\xff\xff"):
        with bare(guest) as sock:
            introduce(sock)
            sock.sendall(said)
            check(is_closed(sock), "")
    # Those who say nothing, half a greeting, or half a message; the last stays as long as it likes.
    silent, halting, half = bare(guest), bare(guest), bare(guest)
    halting.sendall(b"RFB 003")
    introduce(half)
    half.sendall(b"\4\1\0")
    with Viewer(guest) as viewer:
        viewer.look()
        check(is_closed(silent) and is_closed(halting), "")
        viewer.look()
        numbers = [entry["viewer"] for entry in state(guest)["viewers"]]
        equal(len(numbers), 2, "the number of viewers")
    for sock in (silent, halting, half):
        sock.close()
    alone(guest)


@test(guest="main")
def viewers_beyond_the_limit_are_sent_away(guest):
    there = [bare(guest) for _ in range(16)]
    for sock in there:
        introduce(sock)
    with bare(guest) as sock:
        check(is_closed(sock), "")
    equal(len(state(guest)["viewers"]), 16, "the number of viewers")
    for sock in there:
        sock.close()
    alone(guest)
    with Viewer(guest) as viewer:
        viewer.look()


@test(guest="main")
def a_fork_has_viewers_of_its_own(guest):
    twin = programs.Session("vnc-twin")
    try:
        with Viewer(guest) as viewer:
            cloche("control", guest.name, "--take", status=0)
            cloche("fork", guest.name, twin.name, "--timeout", PATIENCE, status=0,
                   limit=PATIENCE + 60)
            equal(state(twin)["viewers"], [], "the fork's viewers")
            check("holder" not in state(twin), "somebody has control of the fork")
            with Viewer(twin) as other:
                other.look()
            viewer.look()
    finally:
        twin.kill()
    check(not os.path.exists(twin.folder), "the fork's folder is left")
    alone(guest)
