# SPDX-License-Identifier: GPL-2.0-or-later
"""Pieces of the screen and smaller pictures of it, what has changed, and when it stands still."""
import contextlib
import os

from copies import Copy, kill_all
from programs import cloche
from harness import PATIENCE, check, equal, test
from png import Image
from test_screen import BLOCKS, picture

FIRST = (20, 160, 220, 40)  # the first input of page.html
RED = (30, 100)             # in the first of its blocks, far from all else
QUIET_MS = 3000             # several of a caret's rounds
# Shows another number ten times a second.
RESTLESS = ("data:text/html,<body style='margin:0'><p id=p style='font:60px serif'>0</p><script>let n=0;"
            "setInterval(()=>{p.textContent=++n},100)</script>")


def ask(guest, verb, code=None, **members):
    """A request that must succeed, or fail with this code."""
    with guest.control() as control:
        reply = control.call(verb, **members)
    if code:
        equal(reply["error"]["code"], code, f"the code of {verb}")
    else:
        check(reply["ok"], f"{verb}: {reply.get('error')}")
    return reply


def settle(guest, **members):
    return ask(guest, "settle", timeout_ms=PATIENCE * 1000, **members)


def now(guest):
    return ask(guest, "screenshot", format="hash")["frame"]


def overlaps(rect, x, y, width, height):
    left, top, wide, high = rect
    return left < x + width and x < left + wide and top < y + height and y < top + high


def place(guest, x, y, *size):
    return [*guest.at(x, y), *size]


@test(guest="main")
def pieces_of_the_screen(guest):
    guest.open_test_page()
    guest.settle()
    x, y, width, height, colour = BLOCKS[7]
    region = ",".join(map(str, place(guest, x, y, width, height)))
    answer = cloche("--json", "shot", guest.name, picture("piece.png"), "--region", region,
                    status=0).json()
    equal((answer["width"], answer["height"]), (width, height), "the size")
    with open(picture("piece.png"), "rb") as file:
        image = Image(file.read())
    equal(image.mismatch(0, 0, width, height, colour), None, "what is wrong in it")
    # Smaller: a flat colour stays as it is, whatever the ratio.
    answer = cloche("--json", "shot", guest.name, picture("piece.png"), "--region", region,
                    "--max-width", "37", status=0).json()
    equal((answer["width"], answer["height"]), (37, 19), "the size")
    with open(picture("piece.png"), "rb") as file:
        equal(Image(file.read()).mismatch(0, 0, 37, 19, colour), None, "what is wrong in it")
    reply = ask(guest, "screenshot", max_pixels=100000)
    check(90000 < reply["width"] * reply["height"] <= 100000, f"the size is {reply}")
    check(abs(reply["scale"] - reply["width"] / 1280) < 1e-9, f"the scale is {reply['scale']}")
    equal(reply["region"], [0, 0, 1280, 800], "the region")
    ask(guest, "screenshot", region=[1279, 0, 2, 1], code="bad_request")
    answer = cloche("shot", guest.name, picture("none.png"), "--region", "0,800,1,1", status=2)
    check("not within the screen" in answer.error, answer.error)
    check(not os.path.exists(picture("none.png")), "a file without a picture")


@contextlib.contextmanager
def frozen(guest):
    """For what must be the same from one request to the next: a browser always has something to do."""
    cloche("freeze", guest.name, status=0)
    try:
        yield
    finally:
        cloche("thaw", guest.name, status=0)


@test(guest="main")
def what_has_changed(guest):
    guest.open_test_page()
    settle(guest, quiet_ms=QUIET_MS)
    with frozen(guest):
        before = now(guest)
        equal(ask(guest, "compare", frame=before)["changed"], False, "whether it has changed")
        equal(now(guest), before, "the name of the same screen")
    mark = guest.web.mark()
    guest.act("left_click", coordinate=guest.at(50, 180))
    guest.web.wait("focus", mark, target="first")
    guest.act("type", text="typed")
    guest.web.wait("input", mark, target="first", value="typed")
    settle(guest, quiet_ms=QUIET_MS)
    reply = ask(guest, "compare", frame=before)
    check(any(overlaps(r, *place(guest, *FIRST)) for r in reply["rects"]), f"changed: {reply}")
    check(ask(guest, "compare", frame=before, rect=place(guest, *FIRST))["changed"],
          "the input is as it was")
    equal(ask(guest, "compare", frame=before, point=guest.at(*RED))["changed"], False,
          "whether the red block has changed")
    # Both by name, whatever is on the screen now.
    guest.open("/plain/other")
    both = ask(guest, "compare", frame=before, against=reply["frame"])
    equal(both["rects"], reply["rects"], "what has changed between the two")
    ask(guest, "compare", frame="0-0", code="stale_frame")
    ask(guest, "compare", frame=before, against="0-0", code="stale_frame")


@test(guest="main")
def what_has_changed_as_a_picture(guest):
    guest.open_test_page()
    before = now(guest)
    guest.open("/plain/other")
    with frozen(guest):
        answer = cloche("--json", "compare", guest.name, before, picture("changed.png"),
                        status=0).json()
        lines = cloche("compare", guest.name, before, status=0).out.decode().split()
    equal(answer["changed"], True, "whether it has changed")
    equal(lines, [",".join(map(str, r)) for r in answer["rects"]], "the lines")
    with open(picture("changed.png"), "rb") as file:
        image = Image(file.read())
    equal((image.width, image.height), (1280, 800), "the picture's size")
    x, y, width, _ = answer["rects"][0]
    equal(image.mismatch(x, y, width, 2, (0xe0, 0, 0x20)), None, "what is no line")
    result = cloche("compare", guest.name, "0-0", status=1)
    check("unknown or forgotten" in result.error, result.error)


@test(guest="main")
def a_caret_is_left_out(guest):
    guest.open_test_page()
    mark = guest.web.mark()
    guest.act("left_click", coordinate=guest.at(50, 180))
    guest.web.wait("focus", mark, target="first")
    reply = settle(guest, quiet_ms=QUIET_MS)
    check(reply["settled"], f"it did not settle: {reply}")
    check(any(overlaps(r, *place(guest, *FIRST)) for r in reply["periodic"]),
          f"the caret is not told: {reply}")
    answer = cloche("--json", "wait", guest.name, "--for", "settled", "--quiet-ms", QUIET_MS,
                    "--timeout", PATIENCE, status=0).json()
    check(answer["frame"] and "periodic" in answer, f"the answer is {answer}")


@test(guest="main")
def a_page_that_never_settles(guest):
    guest.agent("browser", op="navigate", url=RESTLESS)
    # In an emulated machine its ten pictures a second may well be one in three.
    reply = ask(guest, "settle", quiet_ms=20000, timeout_ms=30000)
    check(not reply["settled"], f"it settled: {reply}")
    check(reply["waited_ms"] >= 30000, f"it waited {reply['waited_ms']} ms")
    result = cloche("wait", guest.name, "--for", "settled", "--quiet-ms", "20000", "--timeout", "30s",
                    status=5)
    check("did not stay the same" in result.error, result.error)
    with frozen(guest):
        check(settle(guest)["settled"], "a frozen screen did not settle")


@test
def frames_of_clones():
    """A clone knows none of its original's frames, and nobody waits in it; the original's go on."""
    parent = Copy("watched")
    parent.begin_from_template()
    cloche("wait", parent.name, "--for", "browser", "--timeout", PATIENCE, status=0)
    frame = now(parent)
    with parent.control() as control:
        control.sock.sendall(b'{"id":77,"verb":"settle","quiet_ms":5000,"timeout_ms":200000}\n')
        (clone,), _ = parent.fork("watched-a")
        reply = control.receive()
        equal((reply["id"], reply["ok"]), (77, True), "the answer of the original")
    ask(clone, "compare", frame=frame, code="stale_frame")
    ask(parent, "compare", frame=frame)
    check(now(clone).split("-")[0] != frame.split("-")[0], "the clone's frames have the same prefix")
    check(settle(clone)["settled"], "the clone did not settle")
    threads = os.listdir(f"/proc/{clone.facts()['pid']}/task")
    names = set()
    for thread in threads:
        with open(f"/proc/{clone.facts()['pid']}/task/{thread}/comm", encoding="utf-8") as file:
            names.add(file.read().strip())
    check("scan" not in names, f"nobody watches, but there are the threads {names}")
    kill_all(parent, clone)
