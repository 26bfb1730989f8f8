# SPDX-License-Identifier: GPL-2.0-or-later
"""Both vocabularies of `cloche act`, checked by what the page saw."""
import json
import time

from programs import cloche
from harness import EVENT_LIMIT, PATIENCE, check, contains, equal, test, wait_until

# As in act.html.
FIELD, BUTTON, RED, FLIPS, LATER = (130, 40), (370, 40), (120, 130), (360, 130), (550, 130)
DRAG, DROP = (70, 230), (360, 250)
EMPTY = (600, 400)

class Page:
    """The page, opened anew in a guest."""

    def __init__(self, guest):
        self.guest = guest
        self.web = guest.web
        self.mark = self.web.mark()
        query = f"?{guest.name}-act-{self.mark}"
        guest.open(f"/act{query}")
        loaded = self.web.wait("load", self.mark, query=query)
        if loaded["outerWidth"]:
            guest.loaded = loaded

    def at(self, place):
        return self.guest.at(*place)

    def call(self, action, status=0, options=()):
        """The answer to an action, or a list of them."""
        return cloche("--json", "act", self.guest.name, *options, "-", status=status,
                      stdin=json.dumps(action).encode(), limit=PATIENCE).json()

    def act(self, name, status=0, **arguments):
        """An action of Anthropic's vocabulary."""
        self.mark = self.web.mark()
        return self.call(dict(arguments, action=name), status)

    def openai(self, kind, status=0, **arguments):
        self.mark = self.web.mark()
        return self.call(dict(arguments, type=kind), status)

    def saw(self, kind, **members):
        """What the page has seen since the last action was begun."""
        return self.web.wait(kind, self.mark, **members)

    def saw_where(self, condition, what):
        """An event since the last action was begun, of which condition is true."""
        wait_until(lambda: any(condition(event) for event in self.web.events[self.mark:]), what,
                   EVENT_LIMIT)

    def saw_none(self, kind, **members):
        """To be asked when something that came after it has been seen."""
        for event in self.web.events[self.mark:]:
            check(event["kind"] != kind or not members.items() <= event.items(),
                  f"the page saw {event}")

    def xy(self, place):
        x, y = self.at(place)
        return {"x": x, "y": y}


def where(place):
    return {"x": place[0], "y": place[1]}


@test(guest="main")
def act_clicks(guest):
    page = Page(guest)
    for name, button, clicks, event in (("left_click", 0, 1, "click"), ("right_click", 2, 1, "contextmenu"),
                                        ("middle_click", 1, 1, "auxclick"), ("double_click", 0, 2, "click"),
                                        ("triple_click", 0, 3, "click")):
        answer = page.act(name, coordinate=page.at(BUTTON))
        equal(answer["coordinate"], page.at(BUTTON), "the coordinate")
        page.saw("mousedown", target="button", button=button, clicks=clicks, shift=False)
        page.saw("mouseup", target="button", button=button)
        if event != "contextmenu":
            page.saw(event, target="button", button=button, clicks=clicks, **where(BUTTON))
        else:
            page.saw(event, target="button", button=button)
        page.act(name, coordinate=page.at(RED), text="shift")
        page.saw("mousedown", target="red", button=button, shift=True, ctrl=False)
        page.act("mouse_move", coordinate=page.at(EMPTY))
    page.act("mouse_move", coordinate=page.at(BUTTON))
    page.act("left_click", text="ctrl+alt")
    page.saw("click", target="button", ctrl=True, alt=True, shift=False, **where(BUTTON))
    page.act("left_click")
    page.saw("click", target="button", ctrl=False, alt=False)


@test(guest="main")
def act_pointer(guest):
    page = Page(guest)
    page.act("mouse_move", coordinate=page.at(BUTTON))
    page.saw("mousemove", target="button", buttons=0, **where(BUTTON))
    equal(page.act("cursor_position")["coordinate"], page.at(BUTTON), "where the pointer is")
    page.act("left_mouse_down")
    page.saw("mousedown", target="button", button=0)
    page.act("mouse_move", coordinate=page.at(RED))
    page.saw("mousemove", target="red", buttons=1)
    page.act("left_mouse_up")
    page.saw("mouseup", target="red", button=0, **where(RED))


def end_drag(page):
    """A drag that the browser began only when the button was up again lasts until the next click."""
    page.act("key", text="Escape")
    page.act("left_click", coordinate=page.at(EMPTY))


@test(guest="main")
def act_drags(guest):
    page = Page(guest)
    page.act("left_click_drag", start_coordinate=page.at((22, 332)), coordinate=page.at((174, 332)))
    page.saw_where(lambda e: e["kind"] == "selection" and e["text"].startswith("one two"),
                   "the words' selection")
    page.act("mouse_move", coordinate=page.at(EMPTY))
    page.act("left_click_drag", coordinate=page.at(RED), text="shift")
    page.saw("mousedown", shift=True, **where(EMPTY))
    page.saw("mousemove", buttons=1, shift=True, **where(RED))
    page.saw("mouseup", target="red", shift=True, **where(RED))
    page.act("left_click_drag", start_coordinate=page.at(DRAG), coordinate=page.at(DROP))
    page.saw("mousedown", target="drag", **where(DRAG))
    page.saw("dragstart", target="drag")
    end_drag(page)


@test(guest="main")
def act_drags_along_a_path(guest):
    page = Page(guest)
    # Down and up again. A browser that has no time leaves out places, but not all of them.
    bow = [(EMPTY[0] - 5 * n, EMPTY[1] + min(n, 90 - n)) for n in range(1, 90)]
    page.openai("drag", path=[page.xy(place) for place in (EMPTY, *bow, RED)])
    page.saw("mousedown", **where(EMPTY))
    page.saw_where(lambda e: e["kind"] == "path" and any(tuple(place) in bow for place in e["points"]),
                   "the drag on its way")
    page.saw("mousemove", buttons=1, **where(RED))
    page.saw("mouseup", target="red", **where(RED))
    page.openai("drag", path=[page.xy(DRAG), page.xy(DROP)])
    page.saw("dragstart", target="drag")
    end_drag(page)


@test(guest="main")
def act_drags_until_dropped(guest):
    """Step by step, as the browser needs its time to begin a drag, and a slow machine's more than any
    drag in one action would wait."""
    page = Page(guest)
    begin = page.mark
    page.act("mouse_move", coordinate=page.at(DRAG))
    page.act("left_mouse_down")
    page.act("mouse_move", coordinate=page.at((DRAG[0] + 20, DRAG[1] + 10)))
    page.saw("dragstart", target="drag")
    for across in range(30):
        page.act("mouse_move", coordinate=page.at((DROP[0] + across, DROP[1])))
        if any(event["kind"] == "dragenter" for event in page.web.events[begin:]):
            break
        time.sleep(1)
    page.act("left_mouse_up")
    page.saw("drop", target="drop", text="dragged")


def is_turned(event, across, down):
    return (event["kind"] == "wheel" and event["x"] == EMPTY[0] and event["dx"] * across >= 0 and
            event["dy"] * down >= 0 and (event["dx"] != 0) == (across != 0) and
            (event["dy"] != 0) == (down != 0))


@test(guest="main")
def act_scrolls(guest):
    page = Page(guest)
    for direction, across, down in (("down", 0, 1), ("right", 1, 0), ("up", 0, -1), ("left", -1, 0)):
        page.act("scroll", coordinate=page.at(EMPTY), scroll_direction=direction, scroll_amount=3)
        page.saw_where(lambda e, a=across, d=down: is_turned(e, a, d), f"the wheel {direction}")
    page.act("scroll", scroll_direction="down", scroll_amount=1, text="ctrl")
    page.saw("wheel", ctrl=True, **where(EMPTY))


@test(guest="main")
def act_keys(guest):
    page = Page(guest)
    page.act("left_click", coordinate=page.at(FIELD))
    page.saw("focus", target="field")
    page.act("type", text="naïve 漢字 🙂")
    page.saw("input", value="naïve 漢字 🙂")
    page.act("key", text="ctrl+a Delete")
    page.saw("input", value="")
    page.act("key", text="a B", repeat=3)
    page.saw("input", value="aBaBaB")
    page.act("hold_key", text="shift+F7", duration=0.3)
    page.saw("keydown", key="F7", shift=True)
    page.saw("keyup", key="F7")
    page.saw("keyup", key="Shift")
    page.act("hold_key", text="z", duration=3)
    page.saw("keyup", key="z")
    page.saw("keydown", key="z", again=True)
    page.act("key", text="no_such_key", status=2)


@test(guest="main")
def act_openai_mouse(guest):
    page = Page(guest)
    for name, button in (("left", 0), ("right", 2), ("wheel", 1), ("back", 3), ("forward", 4)):
        page.openai("click", button=name, **page.xy(BUTTON))
        page.saw("mousedown", target="button", button=button, **where(BUTTON))
        page.saw("mouseup", target="button", button=button)
        page.openai("move", **page.xy(EMPTY))
    page.openai("click", button="left", keys=["CTRL", "SHIFT"], **page.xy(RED))
    page.saw("click", target="red", ctrl=True, shift=True, alt=False)
    page.openai("double_click", **page.xy(BUTTON))
    page.saw("click", target="button", clicks=2)
    page.openai("move", keys=["ALT"], **page.xy(RED))
    page.saw("mousemove", target="red", alt=True, **where(RED))
    page.openai("scroll", scroll_x=0, scroll_y=360, **page.xy(EMPTY))
    page.saw_where(lambda e: is_turned(e, 0, 1), "the wheel downwards")
    page.openai("scroll", scroll_x=-120, scroll_y=0, keys=["ALT"], **page.xy(EMPTY))
    page.saw_where(lambda e: is_turned(e, -1, 0) and e["alt"], "the wheel to the left")
    print(f"# the wheel's clicks: {[(e['dx'], e['dy']) for e in page.web.events if e['kind'] == 'wheel']}",
          flush=True)


@test(guest="main")
def act_openai_keys(guest):
    page = Page(guest)
    page.openai("click", button="left", **page.xy(FIELD))
    page.saw("focus", target="field")
    page.openai("type", text="Grüße")
    page.saw("input", value="Grüße")
    page.openai("keypress", keys=["CTRL", "A"])
    page.saw("keydown", key="a", ctrl=True, shift=False)
    page.openai("keypress", keys=["BACKSPACE"])
    page.saw("input", value="")
    page.openai("keypress", keys=["A"])
    page.saw("input", value="A")
    for keys, key in ((["ENTER"], "Enter"), (["ESC"], "Escape"), (["ARROWLEFT"], "ArrowLeft"),
                      (["PAGEDOWN"], "PageDown"), (["HOME"], "Home"), (["DELETE"], "Delete"),
                      (["F2"], "F2"), (["SPACE"], " "), (["/"], "/"), (["ALT", "J"], "j")):
        page.openai("keypress", keys=keys)
        page.saw("keydown", key=key)
    answer = page.openai("wait")
    check(answer["ms"] >= 2000, f"the answer {answer}")
    answer = page.openai("screenshot")
    equal((answer["width"], answer["height"]), (1280, 800), "the picture's size")


@test(guest="main")
def act_lists(guest):
    page = Page(guest)
    answer = page.call([{"action": "left_click", "coordinate": page.at(FIELD)},
                        {"type": "type", "text": "one"}, {"action": "key", "text": "Return"}])
    page.saw("input", value="one")
    equal([result["action"] for result in answer["results"]], ["left_click", "type", "key"], "the actions")
    check(answer["ok"] and all(result["ok"] and "ms" in result for result in answer["results"]),
          f"the answer {answer}")
    page.mark = page.web.mark()
    answer = page.call([{"type": "type", "text": "two"}, {"action": "key", "text": "no_such_key"},
                        {"type": "type", "text": "three"}, {"action": "wait", "duration": 60}], status=2)
    page.saw("input", value="onetwo")
    equal([result["ok"] for result in answer["results"]], [True, False, False, False], "what was done")
    equal([result["error"]["code"] for result in answer["results"][1:]],
          ["bad_request", "not_executed", "not_executed"], "the codes")
    contains(answer["error"]["message"], "action 2 of 4")
    contains(answer["error"]["message"], "no_such_key")
    # Nothing is done when a later one is malformed.
    answer = page.call([{"type": "type", "text": "four"}, {"type": "fly"}], status=2)
    contains(answer["error"]["message"], "[1]: type: unknown")
    page.act("type", text="five")
    page.saw("input", value="onetwofive")
    result = cloche("act", guest.name, "--out", "/tmp/two.png", '[{"type":"screenshot"},{"type":"screenshot"}]',
                    status=2)
    contains(result.error, "there are 2 pictures")
    result = cloche("act", guest.name, "-", status=2,
                    stdin=b'[{"action":"cursor_position"},{"action":"key","text":"no_such_key"}]')
    contains(result.out.decode(), "cursor_position")
    contains(result.error, "action 2 of 2")
