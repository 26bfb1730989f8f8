# SPDX-License-Identifier: GPL-2.0-or-later
"""web.py - the host's side of the test page: serves it on a unix socket, hears what it reports."""
import http.server
import json
import os
import socketserver
import threading
import time

from harness import EVENT_LIMIT, PATIENCE

FOLDER = os.path.dirname(os.path.abspath(__file__))
PAGES = {"/": "page.html", "/act": "act.html"}


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = PATIENCE

    def answer(self, status, body, kind="text/html; charset=utf-8"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path in PAGES:
            with open(os.path.join(FOLDER, PAGES[path]), "rb") as page:
                self.answer(200, page.read())
        elif path.startswith("/plain/"):
            name = path.removeprefix("/plain/")
            self.answer(200, f"<!doctype html><title>Plain {name}</title>{name}".encode())
        else:
            self.answer(404, b"<!doctype html><title>Not here</title>nothing")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.web.take(json.loads(body))
        self.answer(204, b"")

    def address_string(self):
        return "guest"

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class Web:
    """A server and what its page has reported, in order."""

    def __init__(self, path):
        self.path = path
        self.events = []
        self.changed = threading.Condition()
        self.server = Server(path, Handler)
        self.server.web = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def mark(self):
        """A point in time: wait() looks at what came after it."""
        with self.changed:
            return len(self.events)

    def after(self, *arguments, **members):
        """Waits for an event like wait(), and returns the mark behind it."""
        event = self.wait(*arguments, **members)
        with self.changed:
            return next(n for n, e in enumerate(self.events) if e is event) + 1

    def wait(self, kind, mark=0, limit=EVENT_LIMIT, **members):
        """The first event of this kind, and with these members, since mark."""
        deadline = time.monotonic() + limit
        seen = mark
        with self.changed:
            while True:
                for event in self.events[seen:]:
                    if event["kind"] == kind and members.items() <= event.items():
                        return event
                seen = len(self.events)
                left = deadline - time.monotonic()
                if left <= 0:
                    last = [e for e in self.events[mark:] if e["kind"] == kind][-3:]
                    raise AssertionError(f"the page reported no {kind} with {members}; "
                                         f"the last ones: {last}")
                self.changed.wait(left)
