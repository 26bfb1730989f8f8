# SPDX-License-Identifier: GPL-2.0-or-later
"""What `cloche act` says of the screen: frames, what has changed, what was expected."""
import base64
import os

import programs
from harness import PATIENCE, check, contains, equal, test
from png import Image
from test_act import BUTTON, EMPTY, FLIPS, LATER, RED, Page, where

LATER_MS = 1500  # as in act.html


def image_of(answer, name):
    data = base64.b64decode(answer["png_base64"])
    with open(os.path.join(programs.RUNTIME, name), "wb") as out:
        out.write(data)
    return Image(data)


def still_page(guest):
    page = Page(guest)
    page.act("mouse_move", coordinate=page.at(EMPTY),
             expect={"settled": True, "quiet_ms": 2000, "timeout_ms": PATIENCE * 1000})
    return page


def overlaps(rectangle, page, x, y, width, height):
    left, top = page.at((x, y))
    rx, ry, rw, rh = rectangle
    return rx < left + width and left < rx + rw and ry < top + height and top < ry + rh


def covers(rectangles, page, x, y):
    return any(overlaps(rectangle, page, x, y, 1, 1) for rectangle in rectangles)


SETTLED = {"settled": True, "quiet_ms": 2000, "timeout_ms": PATIENCE * 1000}


@test(guest="main")
def act_says_what_changed(guest):
    page = still_page(guest)
    answer = page.act("wait", duration=0)
    equal((answer["before"], answer["changed"]), (answer["after"], []), "a still screen")
    answer = page.act("left_click", coordinate=page.at(FLIPS), expect=SETTLED)
    check(answer["before"] != answer["after"], f"the frames of {answer}")
    check(covers(answer["changed"], page, *FLIPS), f"what changed, {answer['changed']}, is not the block")
    for place in (RED, LATER):  # where the pointer was has changed, too: it is part of the picture
        check(not covers(answer["changed"], page, *place), f"{place} has not changed: {answer['changed']}")
    check(answer["expect"]["met"] and answer["ms"] >= answer["done_ms"] + answer["expect"]["waited_ms"] - 1,
          f"the times of {answer}")
    shot = page.act("screenshot")
    equal(shot["frame"], answer["after"], "the frame of the same screen")
    answer = page.call([{"action": "left_click", "coordinate": page.at(FLIPS), "expect": SETTLED},
                        {"type": "wait"}])
    first, second = answer["results"]
    equal((first["after"], second["changed"]), (second["before"], []), "one after the other")


@test(guest="main")
def act_on_stale_frames(guest):
    page = still_page(guest)
    frame = page.act("screenshot")["frame"]
    there = {"frame": frame, "if_unchanged": True}
    page.act("left_click", coordinate=page.at(FLIPS), **there, expect=SETTLED)
    page.saw("click", target="flips")
    refused = page.mark
    for name, arguments in (("left_click", {"coordinate": page.at(FLIPS)}),
                            ("left_click_drag", {"start_coordinate": page.at(RED), "coordinate": page.at(FLIPS)}),
                            ("left_click", {}), ("type", {"text": "x"}),
                            ("zoom", {"region": [*page.at((350, 120)), *page.at((380, 140))]})):
        answer = page.act(name, status=1, **arguments, **there)
        equal(answer["error"]["code"], "stale_frame", f"the code of {name}")
        check(covers(answer["changed"], page, *FLIPS), f"what changed: {answer}")
    answer = page.openai("click", button="left", status=1, **page.xy(FLIPS), **there)
    equal(answer["error"]["code"], "stale_frame", "the code")
    answer = page.act("left_click", status=1, coordinate=page.at(RED), frame="00000000-1", if_unchanged=True)
    equal(answer["error"]["code"], "stale_frame", "the code of a frame that never was")
    # Elsewhere nothing has changed; and who doesn't ask isn't refused.
    page.act("left_click", coordinate=page.at(BUTTON), **there)
    page.saw("click", target="button")
    equal([e["target"] for e in page.web.events[refused:] if e["kind"] == "mousedown"], ["flips", "button"],
          "what was pressed")
    page.act("left_click", coordinate=page.at(FLIPS), frame=frame)
    page.saw("click", target="flips")


@test(guest="main")
def act_on_scaled_pictures(guest):
    page = still_page(guest)
    whole = page.act("screenshot")
    equal((whole["width"], whole["height"], whole["scale"]), (1280, 800, 1.0), "the whole screen")
    half = page.act("screenshot", max_width=640)
    equal((half["width"], half["height"], half["scale"]), (640, 400, 0.5), "the half")
    equal(half["frame"], whole["frame"] + "@640x400/1280x800+0+0", "the frame's name")
    image = image_of(half, "half.png")
    x, y = page.at(RED)
    equal((image.width, image.height, image.pixel(x // 2, y // 2)), (640, 400, (0xff, 0, 0)), "the half")
    small = page.openai("screenshot", max_pixels=100000)
    check(90000 < small["width"] * small["height"] <= 100000, f"a small one {small['width']}x{small['height']}")
    for shot in (half, small):
        scale = shot["width"] / 1280
        for name, place in (("button", BUTTON), ("red", RED)):
            x, y = page.at(place)
            at = [int(x * scale), int(y * scale)]
            answer = page.act("left_click", coordinate=at, frame=shot["frame"])
            equal(answer["coordinate"], at, "the coordinate")
            event = page.saw("click", target=name)
            check(abs(event["x"] - place[0]) <= 1 / scale and abs(event["y"] - place[1]) <= 1 / scale,
                  f"a click at {place} of the half went to {event}")
    answer = page.act("left_click", status=2, coordinate=[640, 10], frame=half["frame"])
    contains(answer["error"]["message"], "[640, 10] is outside of the frame's picture, which is 640x400")
    # A click is answered in the half's own coordinates.
    x, y = page.at(FLIPS)
    answer = page.act("left_click", coordinate=[x // 2, y // 2], frame=half["frame"], if_unchanged=True,
                      expect=dict(SETTLED, changed=[x // 2 - 10, y // 2 - 10, 20, 20]))
    check(any(rx <= x // 2 < rx + rw and ry <= y // 2 < ry + rh for rx, ry, rw, rh in answer["changed"]),
          f"what changed, in the half: {answer['changed']}")
    contains(answer["after"], "@640x400/1280x800+0+0")


@test(guest="main")
def act_zooms(guest):
    page = still_page(guest)
    region = [*page.at((20, 80)), *page.at((220, 180))]
    answer = page.act("zoom", region=region)
    image = image_of(answer, "red.png")
    equal((image.width, image.height, answer["region"]), (200, 100, [region[0], region[1], 200, 100]), "the part")
    check(not image.mismatch(0, 0, 200, 100, (0xff, 0, 0)), "the part is not red")
    # In the zoomed picture's coordinates, and zoomed again.
    page.act("left_click", coordinate=[0, 0], frame=answer["frame"])
    page.saw("click", target="red", **where((20, 80)))
    page.act("left_click", coordinate=[199, 99], frame=answer["frame"])
    page.saw("click", target="red", **where((219, 179)))
    again = page.act("zoom", region=[10, 10, 20, 30], frame=answer["frame"])
    equal(again["region"], [region[0] + 10, region[1] + 10, 10, 20], "the part of the part")
    small = page.act("zoom", region=region, max_width=50)
    equal((small["width"], small["height"]), (50, 25), "the small part")
    answer = page.act("zoom", status=2, region=[0, 0, 1281, 800])
    contains(answer["error"]["message"], "outside of the screen")


@test(guest="main")
def act_expects(guest):
    page = still_page(guest)
    x, y = page.at(LATER)
    answer = page.act("left_click", coordinate=page.at(LATER), expect={
        "changed": [x - 40, y - 40, 80, 80], "title": "Done later", "url": {"matches": "#(d|D)one$"},
        "settled": True, "unchanged": [*page.at(RED), 20, 20], "timeout_ms": PATIENCE * 1000})
    seen = answer["expect"]
    equal((seen["met"], seen["title"], seen["settled"], seen["unchanged"]), (True, "Done later", True, []), "all")
    contains(seen["url"], "#done")
    check(covers(seen["changed"], page, *LATER), f"what changed: {seen['changed']}")
    check(answer["ms"] >= LATER_MS, f"in time: {answer}")
    # Each of them can be missed, and what is there instead is said.
    for expect, missed, says in (
            ({"title": "Done"}, ["title"], 'title is "Done later"'),
            ({"title": {"matches": "^done"}}, ["title"], 'title is "Done later"'),
            ({"url": {"equals": "http://127.0.0.1:8000/act"}}, ["url"], 'url is "http'),
            ({"changed": [*page.at(RED), 20, 20]}, ["changed"], "changed"),
            ({"changed": True, "title": "x"}, ["title", "changed"], "changed")):
        answer = page.act("mouse_move", status=1, coordinate=page.at(EMPTY),
                          expect=dict(expect, timeout_ms=300))
        equal((answer["error"]["code"], answer["expect"]["met"], answer["expect"]["missed"]),
              ("unexpected", False, missed), f"the answer to {expect}")
        contains(answer["error"]["message"], says)
        check("after" in answer, f"frames of {answer}")
    answer = page.act("left_click", status=1, coordinate=page.at(FLIPS),
                      expect={"unchanged": True, "timeout_ms": PATIENCE * 1000})
    equal(answer["expect"]["missed"], ["unchanged"], "what was missed")
    check(covers(answer["expect"]["unchanged"], page, *FLIPS), f"what changed: {answer['expect']}")
    answer = page.call([{"action": "wait", "duration": 0, "expect": {"title": "no", "timeout_ms": 1}},
                        {"type": "wait"}], status=1)
    equal([r["error"]["code"] for r in answer["results"]], ["unexpected", "not_executed"], "the codes")
    answer = page.act("wait", status=2, duration=0, expect={"changed": [1270, 0, 20, 20]})
    contains(answer["error"]["message"], "expect: changed: [1270, 0, 20, 20] is outside of the screen")
