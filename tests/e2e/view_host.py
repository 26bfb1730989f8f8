#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives the real `cloche view` on this host, with a real VNC server and a real browser.

usage: view_host.py [--list] [NAME…]

No guest is needed: the screen is TigerVNC's Xvnc, and a control socket of our own hands viewers to it
where the VMM would serve them itself. What the guest's screen looks like, and that the VMM heeds who
has control, is test_view.py's. NAME runs only the tests whose names contain it. Each test prints a
line; the last line is the total.
"""
import array
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import headless
import programs
import viewing
import websocket
from harness import check, contains, equal, run_beside_no_guest, test, wait_until
from viewing import STATE, WATCHING, canvas, differing, on_page
from websocket import Refused, WebSocket

WIDTH, HEIGHT = 1000, 700
NAME = "glass"
LIMIT = 30
WORLD = None


class Xvnc:
    """A screen with a logo on it, and a window that writes down which keys it gets."""

    def __init__(self, folder):
        self.socket = os.path.join(folder, "xvnc.sock")
        self.number = next(n for n in range(80, 300) if not os.path.exists(f"/tmp/.X{n}-lock") and
                           not os.path.exists(f"/tmp/.X11-unix/X{n}"))
        self.display = f":{self.number}"
        self.processes = []
        self.start("Xtigervnc", self.display, "-geometry", f"{WIDTH}x{HEIGHT}", "-depth", "24",
                   "-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", self.socket,
                   "-AlwaysShared", "-UseBlacklist=0", "-nolisten", "tcp")
        wait_until(lambda: os.path.exists(self.socket), "the VNC server", LIMIT)
        wait_until(lambda: os.path.exists(f"/tmp/.X11-unix/X{self.number}"), "its display", LIMIT)
        self.start("xlogo", "-geometry", "400x400+80+90", "-fg", "#c02040", "-bg", "#2060a0")
        self.keys = os.path.join(folder, "keys")
        self.start("xev", "-geometry", "300x300+600+200", "-event", "keyboard", "-event", "mouse",
                   out=self.keys)

    def start(self, *argv, out="/dev/null"):
        with open(out, "wb") as file:
            self.processes.append(subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL,
                env=dict(os.environ, DISPLAY=self.display)))

    def pressed(self):
        """The keys that have been pressed in the window, as a string."""
        with open(self.keys, encoding="latin-1") as file:
            text = file.read()
        return "".join(re.findall(r"KeyPress event.*?keysym 0x[0-9a-f]+, (\w+)\)", text, re.S))

    def clicks(self):
        with open(self.keys, encoding="latin-1") as file:
            return file.read().count("ButtonPress event")

    def picture(self):
        """What the X server shows: rows of R, G, B."""
        data = subprocess.run(["xwd", "-root", "-silent", "-display", self.display], check=True,
                              capture_output=True).stdout
        head = struct.unpack(">25I", data[:100])
        start, width, height, line = head[0] + 12 * head[19], head[4], head[5], head[12]
        equal((width, height, head[11]), (WIDTH, HEIGHT, 32), "the size and depth of the picture")
        rows = []
        for y in range(height):
            row = bytearray(3 * width)
            for channel in range(3):
                at = start + y * line
                row[channel::3] = data[at + 2 - channel:at + 4 * width:4]
            rows.append(bytes(row))
        return rows

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()


class Control:
    """A session's folder, and the verbs that `cloche view` needs: each viewer gets a connection of
    its own to the VNC server."""

    def __init__(self, folder, vnc):
        self.vnc = vnc
        self.folder = os.path.join(folder, "cloche", NAME)
        os.makedirs(self.folder, mode=0o700)
        os.chmod(os.path.dirname(self.folder), 0o700)
        with open("/proc/self/stat", encoding="ascii") as file:
            started = int(file.read().rsplit(")", 1)[1].split()[19])
        with open(os.path.join(self.folder, "session.json"), "w", encoding="ascii") as file:
            json.dump({"version": 1, "name": NAME, "pid": os.getpid(), "start_time": started}, file)
        self.viewers = {}
        self.holder = None
        self.count = 0
        self.refuse = None
        self.silent = False
        self.asked = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder, "control.sock"))
        self.listener.listen(8)
        self.clients = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        data, fds = b"", []
        while True:
            try:
                more, ancillary, _, _ = client.recvmsg(65536, 64)
            except OSError:
                return
            if not more:
                return
            data += more
            for _, _, cargo in ancillary:
                got = array.array("i")
                got.frombytes(cargo)
                fds += got
            while b"\n" in data:
                line, data = data.split(b"\n", 1)
                self.answer(client, json.loads(line), fds)

    def answer(self, client, request, fds):
        self.asked.append(request)
        verb, reply = request["verb"], {"id": request["id"], "ok": True}
        if self.silent and verb != "status":
            return
        if verb == "viewer":
            sock = socket.socket(fileno=fds.pop(0))
            if self.refuse:
                reply.update(ok=False, error={"code": "busy", "message": self.refuse})
                sock.close()
            else:
                reply["viewer"] = self.add(sock, request["control"])
        elif verb == "control":
            reply.update(self.control(request))
        elif verb != "status":
            reply.update(ok=False, error={"code": "unknown_verb", "message": verb})
        try:
            client.sendall(json.dumps(reply).encode() + b"\n")
        except OSError:
            pass

    def add(self, sock, may_control):
        self.count += 1
        number = self.count
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.vnc.socket)
        sock.setblocking(True)
        self.viewers[number] = {"viewer": number, "control": may_control, "socket": sock}

        def carry(source, sink):
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
            except OSError:
                pass
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.viewers.pop(number, None)
            if self.holder == number:
                self.holder = None

        for pair in ((sock, server), (server, sock)):
            threading.Thread(target=carry, args=pair, daemon=True).start()
        return number

    def control(self, request):
        viewer = request.get("viewer")
        if request["op"] == "take":
            if not self.viewers.get(viewer, {}).get("control"):
                return {"ok": False, "error": {"code": "denied", "message": "may not"}}
            if self.holder not in (None, viewer):
                return {"ok": False, "error": {"code": "control_taken", "message": "held"}}
            self.holder = viewer
        elif request["op"] == "release" and self.holder == viewer:
            self.holder = None
        known = [{k: v for k, v in one.items() if k != "socket"} for one in self.viewers.values()]
        return dict({"viewers": known}, **({"holder": self.holder} if self.holder else {}))

    def close(self):
        self.listener.close()
        for client in self.clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            client.close()
        shutil.rmtree(self.folder)


class World:
    """What all tests share: the screen, the session, one browser."""

    def __init__(self, folder):
        self.vnc = Xvnc(folder)
        self.control = Control(folder, self.vnc)
        self.folder = folder
        self.browser = None

    def chromium(self):
        self.browser = self.browser or headless.Headless()
        return self.browser

    def new_session(self):
        self.control = Control(self.folder, self.vnc)

    def close(self):
        if self.browser:
            self.browser.close()
        self.control.close()
        self.vnc.close()


def over_window(browser):
    """A point of the page over the window that writes down keys."""
    return on_page(browser, (750, 350), (WIDTH, HEIGHT))


# --- the page -----------------------------------------------------------------------------------

@test
def page_shows_the_screen():
    browser = WORLD.chromium()
    with viewing.View(NAME) as view:
        browser.open(view.urls["watch"][0])
        browser.wait(WATCHING)
        wanted = WORLD.vnc.picture()
        check(len(set(wanted)) > 100, "the screen shows something")
        wait_until(lambda: differing(canvas(browser), wanted) < WIDTH * HEIGHT / 200, "the picture",
                   LIMIT)
        equal(browser.evaluate("document.title"), f"{NAME} – cloche", "the title")
        equal(browser.evaluate("document.getElementById('session').textContent"), NAME, "the name")
        equal(browser.evaluate("document.getElementById('control').hidden"), True,
              "that a viewer who only looks has no button")
        contains(browser.evaluate(STATE), "view only")
        before = WORLD.vnc.pressed(), WORLD.vnc.clicks()
        browser.click(*over_window(browser))
        browser.type("nothing")
        time.sleep(1)
        equal((WORLD.vnc.pressed(), WORLD.vnc.clicks()), before, "what the screen's windows got")
        equal(browser.complaints(), [], "what the browser complains of")


@test
def control_is_taken_and_released():
    browser = WORLD.chromium()
    with viewing.View(NAME, "--control") as view:
        browser.open(view.urls["control"][0])
        browser.wait(WATCHING)
        button = "document.getElementById('control')"
        browser.wait(f"!{button}.disabled && !{button}.hidden")
        equal(browser.evaluate(f"{button}.getAttribute('aria-pressed')"), "false", "the button")
        browser.click_on("#control")
        browser.wait(f"{STATE}.startsWith('You have control')")
        equal(browser.evaluate(f"{button}.getAttribute('aria-pressed')"), "true", "the button")
        equal(WORLD.control.holder, WORLD.control.count, "who has control")
        before = len(WORLD.vnc.pressed())
        clicks = WORLD.vnc.clicks()
        browser.click(*over_window(browser))
        browser.type("hello42")
        wait_until(lambda: WORLD.vnc.pressed()[before:] == "hello42", "the keys", LIMIT)
        equal(WORLD.vnc.clicks(), clicks + 1, "the clicks")
        browser.click_on("#control")
        browser.wait(WATCHING)
        equal(WORLD.control.holder, None, "who has control")
        browser.click(*over_window(browser))
        browser.type("nothing")
        time.sleep(1)
        equal(WORLD.vnc.pressed()[before:], "hello42", "the keys after the release")
        equal(browser.complaints(), [], "what the browser complains of")


@test
def keys_have_a_way_out():
    browser = WORLD.chromium()
    with viewing.View(NAME, "--control") as view:
        browser.open(view.urls["control"][0])
        browser.wait("!document.getElementById('control').disabled")
        browser.click_on("#control")
        browser.wait(f"{STATE}.startsWith('You have control')")
        browser.call("Input.dispatchKeyEvent", type="rawKeyDown", key="R", code="KeyR",
                     windowsVirtualKeyCode=82, modifiers=1 | 2 | 8)
        browser.wait(WATCHING)
        equal(browser.evaluate("document.activeElement.id"), "control", "where the focus is")
        equal(WORLD.control.holder, None, "who has control")


@test
def others_change_who_has_control():
    browser = WORLD.chromium()
    with viewing.View(NAME, "--control") as view:
        browser.open(view.urls["control"][0])
        browser.wait("!document.getElementById('control').disabled")
        WORLD.control.holder = 4711
        browser.wait(f"{STATE}.startsWith('Somebody else')")
        equal(browser.evaluate("document.getElementById('control').disabled"), True, "the button")
        WORLD.control.holder = WORLD.control.count
        browser.wait(f"{STATE}.startsWith('You have control')")
        WORLD.control.holder = None
        browser.wait(WATCHING)


@test
def page_says_that_it_is_over():
    browser = WORLD.chromium()
    with viewing.View(NAME) as view:
        browser.open(view.urls["watch"][0])
        browser.wait(WATCHING)
        equal(view.stop(), (0, b""), "how the server ends")
        browser.wait(f"{STATE} === 'The server of this page has ended'")
        equal(browser.evaluate("document.getElementById('again').hidden"), False, "the button")
        browser.click_on("#again")
        browser.wait(f"{STATE} === 'Connecting…' || {STATE} === 'Disconnected'")
        browser.wait(f"{STATE} === 'Disconnected'")


@test
def page_connects_again():
    browser = WORLD.chromium()
    with viewing.View(NAME) as view:
        browser.open(view.urls["watch"][0])
        browser.wait(WATCHING)
        one = view.socket("hands")
        browser.wait(f"{STATE}.startsWith('Opened elsewhere')")
        browser.click_on("#again")
        browser.wait(WATCHING)
        equal(json.loads(one.receive()[1])["session"], NAME, "the first word")
        while "ended" not in (word := json.loads(one.receive()[1])):
            equal(word["session"], NAME, "the session")
        contains(word["ended"], "Opened elsewhere")
        one.close()


@test
def session_ends():
    browser = WORLD.chromium()
    with viewing.View(NAME) as view:
        browser.open(view.urls["watch"][0])
        browser.wait(WATCHING)
        WORLD.control.close()
        browser.wait(f"{STATE} === 'The session has ended'")
        equal(view.process.wait(LIMIT), 0, "the status")
    WORLD.new_session()


# --- what is served, and to whom ------------------------------------------------------------------

@test
def only_what_is_listed_is_served():
    with viewing.View(NAME) as view:
        base = view.path()
        for path, kind in (("", "text/html"), ("viewer.js", "text/javascript"),
                           ("viewer.css", "text/css"), ("novnc/core/rfb.js", "text/javascript"),
                           ("novnc/vendor/pako/lib/zlib/inflate.js", "text/javascript")):
            status, headers, body = websocket.get(view.address, base + path)
            equal(status, 200, f"the status of {path!r}")
            contains(headers["content-type"], kind)
            equal(headers["cache-control"], "no-store", "the caching")
            equal(headers["x-content-type-options"], "nosniff", "the sniffing")
            equal(headers["referrer-policy"], "no-referrer", "the referrer")
            contains(headers["content-security-policy"], "default-src 'none'; script-src 'self'")
            contains(headers["content-security-policy"], "frame-ancestors 'none'")
            check("unsafe" not in headers["content-security-policy"], "nothing is unsafe")
            equal(len(body), int(headers["content-length"]), "the length")
            check(body, "it isn't empty")
        with open("/usr/share/novnc/core/rfb.js", "rb") as file:
            equal(websocket.get(view.address, base + "novnc/core/rfb.js")[2], file.read(), "rfb.js")
        for path in ("novnc", "novnc/", "novnc/core", "novnc/core/", "novnc/vnc.html",
                     "novnc/app/ui.js", "novnc/utils/launch.sh", "novnc/core/../vnc.html",
                     "novnc/core/%2e%2e/vnc.html", "../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd",
                     "novnc/core/rfb.js/", "novnc/core/rfb.js%00", "x",
                     "novnc/core/" + "x" * 200, "novnc/" + "x" * 3000, "screen", "hands"):
            status, _, _ = websocket.get(view.address, base + path)
            check(status in (0, 400, 403, 404, 414), f"the status of {path!r} is {status}")


@test
def without_the_token_there_is_nothing():
    with viewing.View(NAME, "--viewers", "2", "--control") as view:
        tokens = {url.split("/")[3] for kind in view.urls.values() for url in kind}
        equal(len(tokens), 3, "the number of tokens")
        check(all(re.fullmatch("[0-9a-f]{32}", token) for token in tokens), "tokens", tokens)
        token = view.path().strip("/")
        for wrong in (token[:-1], token + "0", token.upper() if token.upper() != token else "0" * 32,
                      "0" * 32, token[:-1] + ("0" if token[-1] != "0" else "1"), "", "favicon.ico"):
            for rest in ("/", "/novnc/core/rfb.js", ""):
                status, _, _ = websocket.get(view.address, f"/{wrong}{rest}")
                equal(status, 404, f"the status of /{wrong}{rest}")
            for name, protocol in (("screen", "binary"), ("hands", "cloche-hands")):
                refused(view, f"/{wrong}/{name}", protocol)
        equal(websocket.get(view.address, view.path() + "?x=1")[0], 200, "the status of the page")


def refused(view, path, protocol, **more):
    viewers = WORLD.control.count
    try:
        WebSocket(view.address, path, protocol, **more)
    except Refused as refusal:
        check(refusal.status in (0, 400, 403, 404), refusal)
        equal(WORLD.control.count, viewers, "the number of viewers that there were")
        return
    raise AssertionError(f"{path} as {protocol} {more} was let in")


@test
def names_and_origins_are_checked():
    with viewing.View(NAME, "--control") as view:
        host, port = view.address
        page, screen, hands = view.path(), view.path() + "screen", view.path() + "hands"
        for good in (f"{host}:{port}", f"localhost:{port}", f"LOCALHOST:{port}", "localhost",
                     "127.0.0.1:1", f"[::1]:{port}", "127.1.2.3"):
            equal(websocket.get(view.address, page, host=good)[0], 200, f"the status for {good}")
            ws = WebSocket(view.address, screen, "binary", host=good)
            ws.receive_bytes(12)
            ws.close()
        for bad in ("evil.example", f"evil.example:{port}", "", f"localhost.evil.example:{port}",
                    f"127.0.0.1.evil.example:{port}", f"{host}:{port}, evil.example", "127.0.0.1:",
                    "127.0.0.1:123456", "10.0.0.1", "[::2]", "[::1", "127.1", "0x7f.0.0.1",
                    f"localhost:{port}/x", "a" * 300):
            status, headers, body = websocket.get(view.address, page, host=bad)
            check(status in (0, 400, 403), f"the status for {bad!r} is {status}")
            check(b"viewer.js" not in body, "the page isn't in", body)
            refused(view, screen, "binary", host=bad or " ", origin=f"http://{bad}")
            refused(view, hands, "cloche-hands", host=bad or " ", origin=f"http://{bad}")
        for bad in ("http://evil.example", "null", f"https://{host}:{port}", f"http://{host}",
                    f"http://{host}:{port}/", f"http://{host}:{port}.evil.example", False,
                    f"http://localhost:{port}", f"http://{host}:{port + 1}", "http://" + "a" * 300):
            refused(view, screen, "binary", origin=bad)
            refused(view, hands, "cloche-hands", origin=bad)
            if bad:
                equal(websocket.get(view.address, page, more=f"Origin: {bad}\r\n")[0], 403,
                      f"the status of the page from {bad}")


@test
def protocols_that_are_not_there():
    with viewing.View(NAME, "--control") as view:
        for protocol in ("file", "http", "vmm", "", "binary2", "Binary"):
            refused(view, view.path() + "screen", protocol)
        refused(view, view.path() + "hands", "binary")
        refused(view, view.path() + "screen", "cloche-hands")
        refused(view, view.path(), "binary")
        refused(view, view.path() + "novnc/core/rfb.js", "binary")


@test
def requests_that_are_wrong():
    with viewing.View(NAME) as view:
        host = f"{view.address[0]}:{view.address[1]}"
        page = view.path()
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT",
                       "BREW"):
            status, _, body = websocket.get(view.address, page, method=method)
            check(status in (0, 400, 403, 404, 405), f"the status of {method} is {status}")
            check(b"viewer.js" not in body, "the page isn't in the answer to", method)
        head = f"GET {page} HTTP/1.1\r\nHost: {host}\r\n"
        for data in (b"", b"\r\n\r\n", b"\0" * 5000, os.urandom(5000), b"GET /\r\n\r\n",
                     b"GET " + b"/x" * 20000 + b" HTTP/1.1\r\n\r\n",
                     (head + "X: " + "y" * 20000 + "\r\n\r\n").encode(),
                     (head + "Host: evil.example\r\n\r\n").encode(),
                     f"GET {page} HTTP/1.1\r\n\r\n".encode(),
                     (head + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                             "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n").encode(),
                     (head + "Upgrade: nonsense\r\nConnection: Upgrade\r\n\r\n").encode(),
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)):
            with websocket.connect(view.address) as sock:
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    got = sock.recv(4096)
                    check(b"101" not in got[:20] and b" 200 " not in got[:20], data[:60], got)
                except OSError:
                    pass
        equal(websocket.get(view.address, page)[0], 200, "the status of the page afterwards")
        equal(view.stop(), (0, b""), "how it ends")


# --- viewers ------------------------------------------------------------------------------------

def shake_hands(ws):
    """The beginning of RFB, as far as the server's name for its screen: its size."""
    equal(ws.receive_bytes(12), b"RFB 003.008\n", "the version")
    ws.send(b"RFB 003.008\n")
    ws.receive_bytes(2)
    ws.send(b"\1")
    ws.receive_bytes(4)
    ws.send(b"\1")
    return struct.unpack(">HH", ws.receive_bytes(24)[:4])


@test
def frames_are_relayed_as_they_are():
    with viewing.View(NAME) as view:
        ws = view.socket()
        equal(ws.receive_bytes(12), b"RFB 003.008\n", "the version")
        for byte in b"RFB 003.008\n":
            ws.send(bytes([byte]))
        ws.receive_bytes(2)
        ws.send(b"", final=False)
        ws.send(b"\1", opcode=0)
        ws.receive_bytes(4)
        ws.send(b"\1")
        equal(struct.unpack(">HH", ws.receive_bytes(24)[:4]), (WIDTH, HEIGHT), "the size")
        # A whole picture, raw: what comes is as much as that.
        ws.send(struct.pack(">BxHi", 2, 1, 0))
        ws.send(struct.pack(">BBHHHH", 3, 0, 0, 0, WIDTH, HEIGHT))
        data = ws.receive_bytes(4 + 12 + WIDTH * HEIGHT * 4)
        equal(data[:2], b"\0\0", "the message")
        ws.close()


@test
def a_link_is_one_viewers():
    with viewing.View(NAME, "--viewers", "2") as view:
        one = view.socket()
        other = view.socket(number=1)
        equal(shake_hands(one), (WIDTH, HEIGHT), "the size")
        again = view.socket()
        equal(one.wait_closed(), 4001, "the code")
        equal(shake_hands(again), (WIDTH, HEIGHT), "the size")
        equal(shake_hands(other), (WIDTH, HEIGHT), "the size")
        wait_until(lambda: len(WORLD.control.viewers) == 2, "two viewers", LIMIT)
        again.close()
        other.close()
        wait_until(lambda: not WORLD.control.viewers, "that the viewers are gone", LIMIT)


@test
def what_no_viewer_would_send():
    with viewing.View(NAME, "--control") as view:
        for opcode, data in ((1, b"text"), (3, b"x"), (8, b"\3\350"), (1, b"\xff\xfe")):
            ws = view.socket()
            ws.send(data, opcode=opcode)
            ws.wait_closed()
            ws.close()
        for text in (b"{}", b"[]", b"x", b'{"op":"steal"}', b'{"op":7}', b"x" * 65, b"x" * 5000,
                     b'{"op":"take","op":"take"}', b""):
            ws = view.socket("hands", "control")
            ws.receive()
            ws.send(text, opcode=1)
            ws.wait_closed()
            ws.close()
        ws = view.socket("hands")
        ws.receive()
        ws.send(b'{"op":"take"}', opcode=1)
        time.sleep(0.5)
        equal([r for r in WORLD.control.asked if r.get("op") == "take" and
               r.get("viewer") == WORLD.control.count], [], "what a viewer who only looks asked")
        ws.close()
        equal(websocket.get(view.address, view.path())[0], 200, "the status of the page")


@test
def tokens_say_who_may_control():
    with viewing.View(NAME, "--control") as view:
        for kind, may in (("watch", False), ("control", True)):
            ws = view.socket("screen", kind)
            shake_hands(ws)
            asked = [r for r in WORLD.control.asked if r["verb"] == "viewer"]
            equal(asked[-1]["control"], may, f"control for {kind}")
            hands = view.socket("hands", kind)
            equal(json.loads(hands.receive()[1])["may_control"], may, "what the page is told")
            hands.send(b'{"op":"take"}', opcode=1)
            if may:
                equal(json.loads(hands.receive()[1])["control"], "you", "who has control")
            else:
                time.sleep(0.5)
                equal(WORLD.control.holder, None, "who has control")
            hands.close()
            ws.close()


@test
def a_slow_browser_slows_itself():
    with viewing.View(NAME, "--viewers", "2") as view:
        slow = view.socket(receive_buffer=4096)
        shake_hands(slow)
        slow.send(struct.pack(">BxHi", 2, 1, 0))
        for _ in range(40):
            slow.send(struct.pack(">BBHHHH", 3, 0, 0, 0, WIDTH, HEIGHT))
        time.sleep(1)
        other = view.socket(number=1)
        equal(shake_hands(other), (WIDTH, HEIGHT), "the size")
        other.send(struct.pack(">BxHi", 2, 1, 0))
        began = time.monotonic()
        for _ in range(5):
            other.send(struct.pack(">BBHHHH", 3, 0, 0, 0, WIDTH, HEIGHT))
            other.receive_bytes(4 + 12 + WIDTH * HEIGHT * 4)
        check(time.monotonic() - began < LIMIT, "the other isn't slowed")
        with open(f"/proc/{view.process.pid}/status", encoding="ascii") as file:
            resident = int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])
        check(resident < 40 << 10, f"it holds {resident} KiB")
        other.close()
        slow.close()


@test
def a_refusal_is_told():
    WORLD.control.refuse = "too many viewers"
    try:
        with viewing.View(NAME) as view:
            hands = view.socket("hands")
            hands.receive()
            equal(view.socket().wait_closed(), 4002, "the code")
            while "ended" not in (word := json.loads(hands.receive()[1])):
                pass
            contains(word["ended"], "takes no viewer")
            equal(word["note"], "too many viewers", "the reason")
            hands.close()
            _, said = view.stop()
            contains(said.decode(), "too many viewers")
    finally:
        WORLD.control.refuse = None


@test
def a_vmm_that_is_silent_is_given_up():
    WORLD.control.silent = True
    try:
        with viewing.View(NAME) as view:
            ws = view.socket()
            equal(ws.wait_closed(), 4002, "the code")
            equal(websocket.get(view.address, view.path())[0], 200, "the status of the page")
    finally:
        WORLD.control.silent = False


@test
def connections_are_bounded():
    with viewing.View(NAME) as view:
        before = view.descriptors()
        idle = [websocket.connect(view.address) for _ in range(76)]
        wait_until(lambda: view.descriptors() >= before + 64, "that many are in", LIMIT)
        time.sleep(0.5)
        check(view.descriptors() <= before + 66, f"{view.descriptors() - before} are in")
        # Those who say nothing are sent away, and others come in.
        equal(wait_until(lambda: later(view), "the page", 4 * LIMIT), 200, "the status")
        for sock in idle:
            sock.close()
        wait_until(lambda: view.descriptors() <= before + 1, "that all are gone", LIMIT)


def later(view):
    try:
        return websocket.get(view.address, view.path())[0]
    except TimeoutError:
        return None


@test
def the_server_is_confined():
    with viewing.View(NAME) as view:
        with open(f"/proc/{view.process.pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        equal((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"), "filter and privileges")
        equal(websocket.get(view.address, view.path())[0], 200, "the status of the page")


@test
def nothing_is_left_of_viewers():
    with viewing.View(NAME, "--viewers", "2", "--control") as view:
        before = view.descriptors()
        for turn in range(60):
            ws = view.socket(number=turn % 2)
            if turn % 3:
                ws.receive_bytes(12)
            hands = view.socket("hands", "control")
            if turn % 2:
                hands.receive()
            ws.close()
            hands.close()
        wait_until(lambda: view.descriptors() <= before, "that all descriptors are closed", LIMIT)
        wait_until(lambda: not WORLD.control.viewers, "that the viewers are gone", LIMIT)


# --- the command ----------------------------------------------------------------------------------

@test
def urls_are_printed():
    process = subprocess.Popen([programs.CLOCHE, "view", NAME, "--control", "--listen", "[::1]:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = [process.stdout.readline().decode() for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    equal(process.wait(LIMIT), 0, "the status")
    url = r"http://\[::1\]:(\d+)/[0-9a-f]{32}/"
    check(re.fullmatch(rf"watch    {url}\n", lines[0]), lines)
    port = re.fullmatch(rf"control  {url}\n", lines[1])
    check(port, lines)
    contains(lines[2], f"ssh -L {port[1]}:[::1]:{port[1]} ")
    contains(lines[3], "Ctrl-C")
    process.stdout.close()
    process.stderr.close()


@test
def a_port_is_used_again_at_once():
    with viewing.View(NAME) as view:
        view.socket().receive_bytes(12)
        port = view.address[1]
        view.stop()
    with viewing.View(NAME, "--listen", f"127.0.0.1:{port}") as view:
        equal(view.address[1], port, "the port")
        result = programs.cloche("view", NAME, "--listen", f"127.0.0.1:{port}", status=1)
        contains(result.error, "in use")


@test
def a_wrong_command_line():
    for arguments, why in (
            (["--listen", "0.0.0.0:0"], "--allow-remote"), (["--listen", "[::]:0"], "--allow-remote"),
            (["--listen", "192.0.2.1:80"], "--allow-remote"), (["--listen", "localhost:80"], "127.0.0.1"),
            (["--listen", "127.0.0.1"], "127.0.0.1:6080"), (["--listen", "127.0.0.1:65536"], "65535"),
            (["--listen", "::1:80"], "[::1]"), (["--viewers", "0"], "--viewers"),
            (["--viewers", "17"], "--viewers"), (["--no"], "--help"), (["more"], "too many")):
        result = programs.cloche("view", NAME, *arguments, status=2)
        contains(result.error, why)
    programs.cloche("view", "nobody", status=3)
    programs.cloche("view", "nobody", "--vnc", status=3)
    contains(programs.cloche("view", NAME, "--vnc", status=1).error, "no VNC socket")


@test
def others_are_let_in_when_asked():
    with viewing.View(NAME, "--listen", "0.0.0.0:0", "--allow-remote") as view:
        address = ("127.0.0.1", view.address[1])
        equal(websocket.get(address, view.path(), host=f"192.0.2.7:{address[1]}")[0], 200,
              "the status by number")
        equal(websocket.get(address, view.path(), host="evil.example")[0], 403, "the status by name")


@test
def an_ordinary_viewer_is_told_where():
    path = os.path.join(WORLD.control.folder, "vnc.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        out = programs.cloche("view", NAME, "--vnc", status=0).out.decode()
        contains(out, f"socket   {path}\n")
        check(re.search(rf"ssh -L 5901:{re.escape(path)} \S+@\S+\n", out), out)
        answer = programs.cloche("--json", "view", NAME, "--vnc", status=0).json()
        equal(answer["socket"], path, "the socket")
    os.unlink(path)


def missing():
    """Why nothing can be run here, or None."""
    for file in (programs.CLOCHE, os.path.join(os.path.dirname(programs.CLOCHE), "cloche-view")):
        if not os.path.exists(file):
            return f"{os.path.relpath(file, programs.TREE)} is not built"
    for program, package in (("Xtigervnc", "tigervnc-standalone-server"), ("xlogo", "x11-apps"),
                             ("xwd", "x11-apps"), ("xev", "x11-utils"),
                             (headless.BROWSER, "chromium")):
        if not shutil.which(program):
            return f"{package} is not installed"
    if not os.path.exists("/usr/share/novnc/core/rfb.js"):
        return "novnc is not installed"
    return None


def begin(folder):
    global WORLD  # pylint: disable=global-statement
    programs.use_folder(folder)
    WORLD = World(folder)
    return WORLD


if __name__ == "__main__":
    sys.exit(run_beside_no_guest(__doc__, missing(), begin))
