# SPDX-License-Identifier: GPL-2.0-or-later
"""streams.py - the program at both ends of a vsock stream (tests/bench/inside/stream.c)."""
import os
import subprocess
import threading

from harness import PATIENCE, check, equal
from programs import TREE

PROGRAM = os.path.join(TREE, "build/inside/stream")
INSIDE = "/tmp/stream"
PIECE = 1 << 19


def bring_in(guest):
    """Copies the program into the guest, once."""
    if guest.exec("test", "-x", INSIDE, status=None).status == 0:
        return
    with open(PROGRAM, "rb") as file:
        data = file.read()
    for offset in range(0, len(data), PIECE):
        guest.agent("file", data[offset:offset + PIECE], op="write", path=INSIDE, offset=offset,
                    truncate=offset == 0, mode=0o755)


class Outcome:
    """What an end printed: bytes received, the hash, nanoseconds."""

    def __init__(self, out):
        words = out.split()
        equal(len(words), 3, f"the number of words in {out!r}")
        self.bytes, self.hash, self.ns = int(words[0]), words[1], int(words[2])


class HostEnd:
    """`stream` on the host."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def running(self):
        return self.process.poll() is None

    def outcome(self):
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.end()
            raise
        equal(self.process.returncode, 0, f"the host end's status ({err})")
        return Outcome(out.decode())

    def end(self):
        self.process.kill()
        self.process.communicate()


class GuestEnd:
    """`stream` in a guest, in the background."""

    def __init__(self, guest, *arguments):
        self.result = None
        self.thread = threading.Thread(target=self.run, args=(guest, arguments), daemon=True)
        self.thread.start()

    def run(self, guest, arguments):
        self.result = guest.exec(INSIDE, *arguments, status=None)

    def join(self):
        self.thread.join(PATIENCE)
        check(self.result, "the guest's end doesn't end")
        return self.result

    def outcome(self):
        result = self.join()
        equal(result.status, 0, f"the guest end's status ({result.err})")
        return Outcome(result.out.decode())


def guest_connects(guest, port, count, host_job, guest_job):
    """`count` streams from the guest to the host; both ends, running."""
    bring_in(guest)
    path = guest.path(f"vsock.sock_{port}")
    if os.path.exists(path):
        os.unlink(path)
    host = HostEnd("listen", f"unix:{path}", count, *host_job)
    return host, GuestEnd(guest, "connect", f"vsock:2:{port}", count, *guest_job)


def host_connects(guest, port, count, host_job, guest_job):
    """The same from the host to the guest."""
    bring_in(guest)
    inside = GuestEnd(guest, "listen", f"vsock:{0xffffffff}:{port}", count, *guest_job)
    path = guest.path("vsock.sock")
    return HostEnd("connect", f"through:{path}:{port}", count, *host_job), inside
