#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens the page of `cloche replay --html` in a real browser on this host, and makes films of a recording.

usage: replay_host.py [--list] [NAME…]

No guest is needed: the recording is the golden one of tests/unit. What a guest's recording shows is
test_record.py's. NAME runs only the tests whose names contain it. Each test prints a line; the last line is
the total.
"""
import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import headless
import programs
from harness import Skip, check, contains, equal, run_beside_no_guest, test
from png import Image
from programs import TREE, cloche

GOLDEN = os.path.join(TREE, "tests/unit/golden/recording-v1.rec")
FRAMES_MS = (10, 500, 533, 566, 2000)
END_MS = 3000
BROWSER = None
FOLDER = None


def scratch(name):
    return os.path.join(FOLDER, name)


def page():
    """The recording's page, opened from the disk and shown."""
    file = scratch("page.html")
    cloche("replay", GOLDEN, "--html", file, status=0)
    equal(stat.S_IMODE(os.stat(file).st_mode), 0o600, "the mode")
    BROWSER.open(f"file://{file}")
    BROWSER.evaluate("clocheReplay.ready")
    return BROWSER


def canvas():
    """The picture that is shown: its size, and R, G, B of each pixel."""
    width, height, rgb = BROWSER.evaluate("""(() => {
        const c = clocheReplay.canvas, d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let s = "";
        for (let i = 0; i < d.length; i += 4)
            s += String.fromCharCode(d[i], d[i + 1], d[i + 2]);
        return [c.width, c.height, btoa(s)];
    })()""")
    return (width, height), base64.b64decode(rgb)


def replayed(ms):
    file = scratch("at.png")
    cloche("replay", GOLDEN, "--at", f"{ms}ms", file, status=0)
    with open(file, "rb") as data:
        image = Image(data.read())
    return (image.width, image.height), b"".join(image.rows)


def go(ms):
    BROWSER.evaluate(f"clocheReplay.go({ms})")


def clock():
    return BROWSER.evaluate("document.getElementById('clock').textContent")


@test
def every_frame_is_drawn_as_it_was():
    page()
    # Forwards, backwards, from one end to the other, and between two frames.
    for ms in (*FRAMES_MS, *reversed(FRAMES_MS), END_MS, 10, 540, 1999, 2999):
        go(ms)
        check(canvas() == replayed(ms), f"the picture at {ms} ms is another")


@test
def page_asks_for_nothing_and_complains_of_nothing():
    browser = page()
    go(END_MS)
    asked = [e["params"]["request"]["url"] for e in browser.events
             if e["method"] == "Network.requestWillBeSent"]
    asked = [url for url in asked if not url.startswith("data:")]
    equal(asked, [f"file://{scratch('page.html')}"], "what it asks for")
    equal(browser.complaints(), [], "the complaints")
    # Nor could it: the policy says so.
    answer = browser.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', e => e.name)")
    equal(answer, "TypeError", "a request")
    check(any("Content Security Policy" in text for text in browser.complaints()),
          f"no policy: {browser.complaints()}")


@test
def keys_and_buttons_work():
    browser = page()
    equal(clock(), "0:00.0 / 0:03.0", "the time")
    browser.key("End", "End", 35)
    equal(clock(), "0:03.0 / 0:03.0", "the time at the end")
    browser.key(",", "Comma", 188, ",")
    browser.wait("document.getElementById('clock').textContent.startsWith('0:00.5')")
    browser.key(".", "Period", 190, ".")
    browser.wait("document.getElementById('clock').textContent.startsWith('0:02.0')")
    browser.key("Home", "Home", 36)
    equal(clock(), "0:00.0 / 0:03.0", "the time at the beginning")
    browser.key(" ", "Space", 32, " ")
    equal(browser.evaluate("document.getElementById('play').textContent"), "Pause", "the button")
    browser.wait("document.getElementById('clock').textContent.startsWith('0:03.0')")
    browser.wait("document.getElementById('play').textContent === 'Play'")
    check(canvas() == replayed(END_MS), "the last picture is another")
    # The scrubber by keyboard, as any browser has it, and what a screen reader is told.
    browser.evaluate("document.getElementById('seek').focus()")
    browser.key("ArrowLeft", "ArrowLeft", 37)
    told = browser.evaluate("document.getElementById('seek').getAttribute('aria-valuetext')")
    equal(told, "0:02.9", "what is told of the scrubber")
    contains(browser.evaluate("document.getElementById('screen').getAttribute('aria-label')"),
             "0:02.9")


@test
def actions_are_listed_and_lead_there():
    browser = page()
    lines = browser.evaluate("[...document.querySelectorAll('#actions button')].map(b => b.innerText)")
    equal(len(lines), 5, "the number of actions")
    contains(lines[0], "left click 90,75")
    contains(lines[1], "type 7 characters")
    browser.evaluate("document.querySelectorAll('#actions button')[3].click()")
    contains(clock(), "0:00.1")
    equal(browser.evaluate("document.querySelector('#actions [aria-current=true]').innerText"),
          lines[3], "the current action")
    contains(browser.evaluate("document.getElementById('title').textContent"), "web")
    contains(browser.evaluate("document.getElementById('note').textContent"), "5 frames")


@test
def films_are_made_by_ffmpeg():
    """The real one where it is installed; else one that counts what it gets."""
    film = scratch("film.mp4")
    if shutil.which("ffmpeg"):
        cloche("replay", GOLDEN, "--mp4", film, "--rate", "20", status=0)
        with open(film, "rb") as data:
            contains(data.read(64), b"ftyp")
        probe = shutil.which("ffprobe")
        if probe:
            said = subprocess.run([probe, "-v", "error", "-count_frames", "-show_entries",
                                   "stream=width,height,nb_read_frames", "-of", "json", film],
                                  check=True, capture_output=True).stdout
            stream = json.loads(said)["streams"][0]
            equal((stream["width"], stream["height"], int(stream["nb_read_frames"])),
                  (200, 100, 61), "the film")
        return
    raise Skip("ffmpeg isn't installed")


def fake_ffmpeg(script):
    """A folder with nothing but this under that name."""
    folder = tempfile.mkdtemp(dir=FOLDER)
    file = os.path.join(folder, "ffmpeg")
    with open(file, "w", encoding="utf-8") as out:
        out.write("#!/bin/sh\n" + script)
    os.chmod(file, 0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def film_picture(ms):
    """The screen at that time in the film's size, which is the largest screen's."""
    (width, height), rgb = replayed(ms)
    rows = [rgb[y * width * 3:(y + 1) * width * 3].ljust(200 * 3, b"\0") for y in range(height)]
    return b"".join(rows).ljust(200 * 100 * 3, b"\0")


@test
def films_get_every_picture():
    raw = scratch("raw")
    env = fake_ffmpeg(f'printf "%s\\n" "$@" > {raw}.args\ncat > {raw}\n')
    cloche("replay", GOLDEN, "--mp4", scratch("x.mp4"), "--rate", "20", status=0, env=env)
    with open(raw, "rb") as data:
        pictures = data.read()
    size = 200 * 100 * 3
    equal(len(pictures), 61 * size, "the bytes of 3.05 s at 20 a second")
    # Each is what was shown at the end of its twentieth of a second.
    for number in (0, 1, 9, 10, 11, 30, 39, 40, 60):
        equal(pictures[number * size:][:size] == film_picture(number * 50 + 49), True,
              f"picture {number}, that it is right,")
    with open(raw + ".args", encoding="utf-8") as said:
        words = said.read().split("\n")
    equal(words[words.index("-video_size") + 1], "200x100", "the size")
    equal(words[-2], f"file:{scratch('x.mp4')}", "the file")


@test
def films_fail_with_words():
    env = fake_ffmpeg("exit 3\n")
    contains(cloche("replay", GOLDEN, "--mp4", scratch("x.mp4"), status=1, env=env).error, "ffmpeg")
    env = {"PATH": "/nowhere"}
    error = cloche("replay", GOLDEN, "--mp4", scratch("x.mp4"), status=1, env=env).error
    check(re.search("isn't installed", error), error)


def missing():
    """Why no page can be opened here, or None."""
    if not os.path.exists(headless.BROWSER):
        return "Chromium is not installed"
    return None if os.path.exists(programs.CLOCHE) else "build/bin/cloche is not built"


def begin(folder):
    global BROWSER, FOLDER  # pylint: disable=global-statement
    FOLDER = folder
    programs.use_folder(folder)
    BROWSER = headless.Headless()
    return BROWSER


if __name__ == "__main__":
    sys.exit(run_beside_no_guest(__doc__, missing(), begin))
