# SPDX-License-Identifier: GPL-2.0-or-later
"""copies.py - sessions that are copied: restored from files and templates, forked off others."""
import os
import time

import programs
from programs import Guest, cloche
from harness import PATIENCE, check, equal, wait_until

BAKE_LIMIT = 380
WEB = None  # set by use_web(): who serves the test page to all of them


def use_web(web):
    global WEB  # pylint: disable=global-statement
    WEB = web


def scratch(name):
    return os.path.join(programs.RUNTIME, name)


def template_file(suffix):
    return os.path.join(os.environ["XDG_CACHE_HOME"], "cloche/templates/default." + suffix)


class Copy(Guest):
    """A session that can be copied, and may be a copy. It has the test page's server as a relay."""

    def __init__(self, name):
        super().__init__(name, WEB)

    def relay(self):
        return ("--relay", f"8000:{self.web.path}")

    def begin_from_template(self, *options, status=0):
        return self.start(*self.relay(), *options, status=status)

    def restore(self, file, mode=None, *options, status=0):
        mode = ("--mode", mode) if mode else ()
        return cloche("--json", "restore", file, self.name, "--timeout", PATIENCE, *mode, *self.relay(),
                      *options, status=status, limit=PATIENCE + 60)

    def fork(self, *names):
        """Sessions of these names, each as this one is now."""
        answer = cloche("--json", "fork", self.name, *names, "--timeout", PATIENCE, status=0,
                        limit=PATIENCE + 60).json()
        copies = [Copy(name) for name in names]
        for copy in copies:
            copy.loaded = self.loaded
        return copies, answer

    def snapshot(self, file, *options, status=0):
        return cloche("--json", "snapshot", self.name, file, *options, status=status,
                      limit=PATIENCE + 60)

    def hash(self):
        with self.control() as control:
            reply = control.call("screenshot", format="hash")
        check(reply["ok"], f"screenshot: {reply}")
        return reply["hash"]

    def shows(self, wanted, what):
        """Waits until the screen is that one: a caret blinks."""
        wait_until(lambda: self.hash() == wanted, what)

    def open_page(self):
        """The test page; where it is, and a mark."""
        mark = self.web.mark()
        self.open(f"/?{self.name}-{mark}")
        self.loaded = self.web.wait("load", mark, query=f"?{self.name}-{mark}")
        return mark

    def type(self, text, value):
        """Types into what has the focus; @value is what is in there then."""
        mark = self.web.mark()
        self.act("type", text=text)
        self.web.wait("input", mark, target="first", value=value)

    def random(self):
        return self.shell("head -c 16 /dev/urandom | od -An -tx1").strip()

    def clock_error(self):
        """Seconds between the guest's clock and the host's, as far apart as they may be at least."""
        before = time.time()
        guest = float(self.shell("date +%s.%N"))
        after = time.time()
        return max(before - guest, guest - after, 0)


def are_apart(first, second):
    """Two copies of one guest: what must differ."""
    one, two = first.status(), second.status()
    check(one["generation"] != two["generation"], f"both have generation {one['generation']}")
    check(one["pid"] != two["pid"] and one["name"] != two["name"], "they are one")
    for status in (one, two):
        check(status["acknowledged"], f"{status['name']} has not acknowledged")
    check(first.random() != second.random(), "getrandom says the same in both")
    for session in (first, second):
        check(session.clock_error() < 1, f"{session.name}'s clock is {session.clock_error()} s off")
    return one, two


def kill_all(*sessions):
    for session in sessions:
        session.kill()
        check(not os.path.exists(session.folder), f"{session.folder} is still there")


def leaves_only(folder, names):
    equal(sorted(os.listdir(folder)), sorted(names), f"what is in {folder}")
