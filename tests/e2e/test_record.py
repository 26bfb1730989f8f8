# SPDX-License-Identifier: GPL-2.0-or-later
"""What is recorded, what is kept of it, and pictures that are watched for."""
import json
import os
import signal
import struct
import subprocess
import time
import zlib

import programs
from programs import CLOCHE, cloche
from harness import PATIENCE, check, contains, equal, test, wait_until
from png import Image

FIRST = (130, 180)
SECRET = "opensesame"
SEEN_WITHIN_MS = 1000  # a still screen is looked at twice a second


def scratch(name):
    return os.path.join(programs.RUNTIME, name)


class Background:
    """A command that goes on until it is told to end."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([CLOCHE, "--json", *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self, number=signal.SIGINT, status=0):
        if number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        equal(self.process.returncode, status, f"the status ({err!r})")
        return out


class Recorder(Background):
    def __init__(self, guest, file, *options):
        if os.path.exists(file):
            os.unlink(file)
        super().__init__("record", guest.name, file, *options)
        self.file = file
        # A header and the first frame: it is under way.
        wait_until(lambda: os.path.exists(file) and os.path.getsize(file) > 200, "the first frame")


def listed(file):
    return cloche("--json", "replay", file, "--list", status=0).json()


def replayed(file, ms):
    picture = scratch("replayed.png")
    cloche("replay", file, "--at", f"{ms}ms", picture, status=0)
    return image_of(picture)


def image_of(path):
    with open(path, "rb") as file:
        return Image(file.read())


def same(one, other):
    return (one.width, one.height) == (other.width, other.height) and one.rows == other.rows


def now_ms():
    return time.time_ns() // 1000000


@test(guest="main")
def recording_shows_what_the_screen_did(guest):
    """At each moment at which the screen stood still the replayed picture is the screenshot."""
    file = scratch("main.rec")
    moments = []
    with Recorder(guest, file) as recorder:
        for step in range(3):
            if step < 2:
                guest.open_test_page()
            else:
                guest.open(f"/?other-{now_ms()}")
                guest.act("scroll", coordinate=guest.at(300, 400), scroll_direction="down",
                          scroll_amount=3)
            if step == 1:
                guest.act("mouse_move", coordinate=guest.at(370, 240))
            guest.settle()
            picture = scratch(f"moment{step}.png")
            before = now_ms()
            guest.shot(picture)
            moments.append((before, now_ms(), image_of(picture)))
            time.sleep(SEEN_WITHIN_MS / 1000)
        answer = json.loads(recorder.end())
    equal(answer["reason"], "interrupted", "the reason")
    equal(answer["file_bytes"], os.path.getsize(file), "the size")
    equal(os.stat(file).st_mode & 0o7777, 0o600, "the mode")
    all_of_it = listed(file)
    check(all_of_it["whole"], "its end is missing")
    equal(all_of_it["name"], guest.name, "the session")
    check(all_of_it["frames"] >= 3, f"only {all_of_it['frames']} frames")
    begun = all_of_it["begun_ms"]
    times = [e["ms"] for e in all_of_it["events"] if "frame" in e]
    for before, after, picture in moments:
        # To within a frame: what was on the screen while the picture was taken.
        candidates = {before - begun, after - begun + SEEN_WITHIN_MS,
                      *(t for t in times if before <= begun + t <= after + SEEN_WITHIN_MS)}
        check(any(same(replayed(file, t), picture) for t in sorted(candidates)),
              f"no frame around {before - begun} ms is the screenshot")


@test(guest="main")
def recording_keeps_actions_but_no_typed_text(guest):
    for options, kept in (((), False), (("--with-text",), True)):
        file = scratch("text.rec")
        with Recorder(guest, file, *options) as recorder:
            guest.open_test_page()
            guest.act("left_click", coordinate=guest.at(*FIRST))
            guest.act("type", text=SECRET)
            guest.act("key", text="ctrl+a")
            guest.open("/?query-of-mine")
            recorder.end()
        lines = [e["action"] for e in listed(file)["events"] if "action" in e]
        x, y = guest.at(*FIRST)
        check(any(f"left click {x},{y}" in line for line in lines), f"no click in {lines}")
        check(any("ctrl+a" in line for line in lines), f"no key in {lines}")
        with open(file, "rb") as data:
            data = data.read()
        equal(SECRET.encode() in data, kept, "that the text is kept")
        equal(b"query-of-mine" in data, kept, "that the query is kept")
        if kept:
            check(any(SECRET in line for line in lines), f"no text in {lines}")
        else:
            check(any(f"type {len(SECRET)} characters" in line for line in lines),
                  f"no text's length in {lines}")


@test(guest="main")
def recorder_that_is_killed_leaves_a_recording(guest):
    file = scratch("killed.rec")
    with Recorder(guest, file) as recorder:
        guest.open_test_page()
        guest.settle()
        time.sleep(1)
        recorder.end(signal.SIGKILL, -signal.SIGKILL)
    answer = listed(file)
    check(not answer["whole"], "it says that it is whole")
    picture = scratch("killed.png")
    guest.shot(picture)
    check(same(replayed(file, answer["ms"]), image_of(picture)), "the last frame is another")
    # It holds nobody up, and another one can begin at once; a file that is there is left alone.
    contains(cloche("record", guest.name, file, status=1).error, "there already")
    with Recorder(guest, scratch("again.rec"), "--duration", "3s") as recorder:
        equal(json.loads(recorder.end(None))["reason"], "duration", "the reason")


@test(guest="main")
def recording_ends_at_its_size_and_a_still_screen_costs_nothing(guest):
    guest.open("/?still")
    guest.settle()
    file = scratch("still.rec")
    with Recorder(guest, file) as recorder:
        time.sleep(2)
        before = os.path.getsize(file)
        time.sleep(5)
        after = os.path.getsize(file)
        recorder.end()
    # The pointer or a page's caret may have been drawn anew; a frame would be hundreds of kilobytes.
    check(after - before < 5000, f"{after - before} bytes of a still screen")
    with Recorder(guest, scratch("small.rec"), "--max-size", "1K") as recorder:
        guest.open_test_page()
        equal(json.loads(recorder.end(None))["reason"], "size", "the reason")


@test(guest="main")
def replay_makes_a_page(guest):
    file, page = scratch("page.rec"), scratch("page.html")
    with Recorder(guest, file) as recorder:
        guest.act("mouse_move", coordinate=guest.at(200, 300))
        recorder.end()
    cloche("replay", file, "--html", page, status=0)
    with open(page, encoding="utf-8") as written:
        text = written.read()
    equal(text.count("<script"), text.count("</script>"), "the number of scripts")
    contains(text, 'class="atlas"')
    check("src=" not in text.replace('image.src = "data:', ""), "it refers to another file")
    if not any(os.access(os.path.join(folder, "ffmpeg"), os.X_OK)
               for folder in os.environ["PATH"].split(":")):
        contains(cloche("replay", file, "--mp4", scratch("page.mp4"), status=1).error, "ffmpeg")


def write_png(path, width, height, pixel):
    """An 8-bit RGBA PNG of pixel(x, y)."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width))
                    for y in range(height))
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + \
            struct.pack(">I", zlib.crc32(kind + body))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" +
                   chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@test(guest="main")
def known_picture_is_found_and_freezes(guest):
    """A piece of the test page, cut out of a screenshot, then met on a page that comes later."""
    guest.open_test_page()
    guest.settle()
    left, top = guest.origin()
    image = Image(guest.shot(scratch("whole.png")))
    at, size = (left + 330, top + 50), (120, 60)  # the meeting of three blocks
    template, mask = scratch("template.png"), scratch("mask.png")
    write_png(template, *size, lambda x, y: (*image.pixel(at[0] + x, at[1] + y), 255))
    write_png(mask, *size, lambda x, y: (0, 0, 0, 255) if x < 10 else (255, 255, 255, 255))
    guest.open("/plain/nothing")
    guest.settle()
    with Background("watch", guest.name, "--template", f"{template}:{mask}", "--name", "vault",
                    "--once", "--freeze") as watch, guest.control() as control:
        check(control.call("subscribe")["ok"], "subscribe")
        time.sleep(5)
        check(watch.process.poll() is None, "it was seen where it isn't")
        opener = subprocess.Popen([CLOCHE, "act", guest.name, json.dumps(
            {"action": "navigate", "url": f"http://127.0.0.1:8000/?{guest.name}-vault"})],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            seen = json.loads(watch.end(None))
        finally:
            state = guest.status()["state"]
            cloche("thaw", guest.name, status=0)
            opener.wait(PATIENCE)
        equal((seen["x"], seen["y"], seen["width"], seen["height"]), (*at, *size), "the place")
        equal(state, "paused", "the state")
        # After those of the actions that led there.
        event = control.receive()
        while event["event"] != "alert":
            event = control.receive()
        equal((event["name"], event["x"], event["frozen"]), ("vault", at[0], True), "the event")
    with open(guest.path("vmm.log"), encoding="utf-8") as log:
        contains(log.read(), "alert: 'vault' is on the screen")
    guest.open_test_page()


@test
def recordings_that_are_none():
    for name, words in (("/dev/null", "no regular file"), (programs.RUNTIME, "no regular file"),
                        ("/nowhere", "cannot open"), (CLOCHE, "no recording")):
        contains(cloche("replay", name, "--list", status=1).error, words)
    for arguments, words in ((("replay", "x"), "--at"), (("replay", "x", "--at", "1"), "together"),
                             (("replay", "x", "--list", "--html", "y"), "one of"),
                             (("watch", "x"), "--template"),
                             (("watch", "x", "--template", CLOCHE, "--name", "n"), "no sound PNG")):
        contains(cloche(*arguments, status=2).error, words)
