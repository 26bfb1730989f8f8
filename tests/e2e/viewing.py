# SPDX-License-Identifier: GPL-2.0-or-later
"""viewing.py - `cloche view` at work, and what its page shows in a headless browser."""
import base64
import contextlib
import json
import os
import signal
import subprocess

import headless
import programs
from harness import PATIENCE, Skip, check, more_time
from websocket import WebSocket

STATE = "document.getElementById('state').textContent"
WATCHING = f"{STATE}.startsWith('You watch')"
NOVNC = "/usr/share/novnc/core/rfb.js"
OFF = 24  # how much of 255 a channel may differ: what isn't flat may be sent as JPEG


class View:
    """`cloche view` at work."""

    def __init__(self, name, *options):
        self.process = subprocess.Popen(
            [programs.CLOCHE, "--json", "view", name, *map(str, options)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"cloche view says {self.process.stderr.read()!r}")
        self.answer = json.loads(line)
        check(self.answer["ok"], self.answer)
        host, port = self.answer["listen"].rsplit(":", 1)
        self.address = (host.strip("[]"), int(port))
        self.urls = {"watch": [u["url"] for u in self.answer["urls"] if not u["control"]],
                     "control": [u["url"] for u in self.answer["urls"] if u["control"]]}

    def path(self, kind="watch", number=0):
        return "/" + self.urls[kind][number].split("/", 3)[3]

    def socket(self, name="screen", kind="watch", number=0, **more):
        protocol = {"screen": "binary", "hands": "cloche-hands"}[name]
        return WebSocket(self.address, self.path(kind, number) + name, protocol, **more)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE), self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for file in (self.process.stdout, self.process.stderr):
            file.close()


@contextlib.contextmanager
def outside(size=(1400, 1000)):
    """A browser, in a tree of the root image over which nothing is written but /tmp."""
    if not os.path.exists(NOVNC):
        raise Skip("novnc is not here")
    root = os.path.join(programs.RUNTIME, "browser-root")
    os.makedirs(root, exist_ok=True)
    mounts = [(("-t", "erofs", "-o", "loop,ro"), programs.image("root.erofs"), ""),
              (("--bind",), "/dev", "/dev"), (("--bind",), "/proc", "/proc"),
              (("--bind",), "/sys", "/sys"), (("--bind",), "/tmp", "/tmp")]
    try:
        for options, what, where in mounts:
            subprocess.run(["mount", *options, what, root + where], check=True)
        browser = headless.Headless(("chroot", root), size, PATIENCE, light=True)
        try:
            more_time()
            yield browser
        finally:
            browser.close()
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", root], check=False)


def canvas(browser):
    """noVNC's canvas, as rows of R, G, B; [] while there is none."""
    answer = browser.evaluate("""(() => {
        const canvas = document.querySelector('#screen canvas');
        if (!canvas || !canvas.width || !canvas.height)
            return null;
        const {width, height} = canvas;
        const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
        const packed = new Uint8Array(3 * width * height);
        for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
            packed[to] = data[from];
            packed[to + 1] = data[from + 1];
            packed[to + 2] = data[from + 2];
        }
        let text = '';
        for (let at = 0; at < packed.length; at += 32768)
            text += String.fromCharCode(...packed.subarray(at, at + 32768));
        return [width, btoa(text)];
    })()""")
    if not answer:
        return []
    line, data = 3 * answer[0], base64.b64decode(answer[1])
    return [data[at:at + line] for at in range(0, len(data), line)]


def differing(got, wanted):
    """In how many bytes two pictures, as rows, aren't nearly the same."""
    if [len(row) for row in got] != [len(row) for row in wanted]:
        return sum(len(row) for row in wanted)
    return sum(1 for row, other in zip(got, wanted) if row != other
               for one, two in zip(row, other) if not -OFF <= one - two <= OFF)


def on_page(browser, point, size):
    """Where a point of the screen, which has this size, is on the page."""
    x, y, width, height = browser.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.querySelector('#screen canvas').getBoundingClientRect())")
    return x + (point[0] + 0.5) * width / size[0], y + (point[1] + 0.5) * height / size[1]
