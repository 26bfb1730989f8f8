# SPDX-License-Identifier: GPL-2.0-or-later
"""What the picture shows, what the mouse and keyboard do, where the browser goes."""
import os

import programs
from programs import cloche
from harness import PATIENCE, Skip, check, contains, equal, test, wait_until
from png import Image

# As in page.html.
BLOCKS = [
    (20, 20, 100, 120, (0xff, 0, 0)), (120, 20, 100, 120, (0, 0xff, 0)),
    (220, 20, 100, 120, (0, 0, 0xff)), (340, 20, 80, 60, (0x12, 0x34, 0x56)),
    (340, 80, 80, 60, (0xfe, 0xdc, 0xba)), (440, 20, 1, 120, (0, 0, 0)),
    (441, 20, 99, 120, (0xff, 0xff, 0xff)), (560, 40, 160, 80, (0x7f, 0x80, 0x81)),
]
FIRST, SECOND = (130, 180), (370, 180)
ONE, TWO = (130, 240), (370, 240)
DOUBLE_CLICK_MS = 500  # Chromium's own limit
TEXT = "Grüße, café! 漢字 🙂👩 «~{}|\\\"'<>» АЯ עב №"


def picture(name):
    return os.path.join(programs.RUNTIME, name)


def check_blocks(guest, name):
    guest.open_test_page()
    guest.settle()
    left, top = guest.origin()
    image = Image(guest.shot(picture(name)), limit=top + 150)
    equal((image.width, image.height), (guest.loaded["screenWidth"], guest.loaded["screenHeight"]),
          "the picture's size")
    for x, y, width, height, colour in BLOCKS:
        wrong = image.mismatch(left + x, top + y, width, height, colour)
        check(not wrong, f"the block at {x},{y} should be {colour}, but has {wrong}")
    for x, y in ((18, 18), (730, 60)):
        equal(image.pixel(left + x, top + y), (0xf4, 0xf1, 0xe8), f"the background at {x},{y}")


@test(guest="main")
def colours_are_where_they_belong(guest):
    check_blocks(guest, "main.png")


@test(guest="small")
def colours_on_another_screen(guest):
    check_blocks(guest, "small.png")


@test(guest="main")
def shot_writes_where_it_is_told(guest):
    file = picture("twice.png")
    for _ in range(2):
        answer = cloche("--json", "shot", guest.name, file, status=0).json()
        equal(answer["file"], file, "the file")
    with open(file, "rb") as written:
        on_disk = written.read()
    result = cloche("shot", guest.name, "-", status=0)
    check(result.out.startswith(on_disk[:8]), "stdout is no PNG")
    result = cloche("shot", guest.name, "/nowhere/at/all.png", status=1)
    contains(result.error, "/nowhere/at/all.png")


@test(guest="main")
def typed_text_arrives(guest):
    mark = guest.open_test_page()
    guest.act("left_click", coordinate=guest.at(*FIRST))
    guest.web.wait("focus", mark, target="first")
    guest.act("type", text=TEXT)
    guest.web.wait("input", mark, target="first", value=TEXT)


@test(guest="main")
def keys_and_combinations(guest):
    mark = guest.open_test_page()
    guest.act("left_click", coordinate=guest.at(*FIRST))
    guest.act("type", text="copied")
    guest.act("key", text="ctrl+a ctrl+c Tab ctrl+v")
    guest.web.wait("input", mark, target="second", value="copied")
    guest.act("key", text="shift+Left BackSpace")
    guest.web.wait("input", mark, target="second", value="copie")
    guest.act("key", text="ctrl+a Delete")
    guest.web.wait("input", mark, target="second", value="")
    for keys, expected in (("ctrl+shift+x", {"key": "X", "ctrl": True, "shift": True}),
                           ("alt+j", {"key": "j", "alt": True, "ctrl": False}),
                           ("F2", {"key": "F2"}), ("Escape", {"key": "Escape"}),
                           ("Page_Down", {"key": "PageDown"}), ("space", {"key": " "}),
                           ("Return", {"key": "Enter", "ctrl": False, "alt": False})):
        guest.act("key", text=keys)
        guest.web.wait("keydown", mark, **expected)


@test(guest="main")
def clicks_hit_what_they_should(guest):
    mark = guest.open_test_page()
    left, top = guest.origin()
    for (x, y), target in ((ONE, "one"), (TWO, "two"), ((41, 221), "one")):
        answer = guest.act("left_click", coordinate=[left + x, top + y])
        equal(answer["coordinate"], [left + x, top + y], "the coordinate")
        event = guest.web.wait("click", mark, target=target, x=x, y=y)
        equal((event["button"], event["ctrl"], event["shift"]), (0, False, False), "the click")
    guest.act("left_click", coordinate=guest.at(*ONE), text="ctrl+shift")
    guest.web.wait("click", mark, target="one", ctrl=True, shift=True)
    released = guest.web.mark()
    guest.act("left_click", coordinate=guest.at(*TWO))
    guest.web.wait("click", released, target="two", ctrl=False, shift=False)
    guest.act("right_click", coordinate=guest.at(*ONE))
    guest.web.wait("contextmenu", mark, target="one", button=2)
    guest.act("middle_click", coordinate=guest.at(*TWO))
    guest.web.wait("auxclick", mark, target="two", button=1)


@test(guest="main")
def two_clicks_are_a_double_click(guest):
    """
    The browser takes two presses for a pair when no more than half a second lies between them, by the
    display's own clock. A machine that stood still meanwhile makes two clicks of them, and rightly.
    """
    mark = guest.open_test_page()
    guest.act("double_click", coordinate=guest.at(*TWO))
    guest.web.wait("click", guest.web.after("click", mark, target="two"), target="two")
    first, second = [event["at"] for event in guest.web.events[mark:]
                     if event["kind"] == "mousedown"][:2]
    if second - first > DOUBLE_CLICK_MS:
        raise Skip(f"the machine stood still for {second - first:.0f} ms between two clicks")
    guest.web.wait("dblclick", mark, target="two")


@test(guest="main")
def wait_for_what(guest):
    for stage in ("agent", "display", "browser"):
        contains(cloche("wait", guest.name, "--for", stage, status=0).out.decode(), stage)
    answer = cloche("--json", "wait", guest.name, "--for", "settled", status=0).json()
    equal(len(answer["hash"]), 16, "the size of the hash")
    contains(cloche("wait", guest.name, "--for", "rain", status=2).error, "is none of")


@test(guest="main")
def pointer_moves(guest):
    guest.open_test_page()
    guest.act("mouse_move", coordinate=guest.at(10, 400))
    mark = guest.web.mark()
    guest.act("mouse_move", coordinate=guest.at(*TWO))
    guest.web.wait("mouseover", mark, target="two")


@test(guest="main")
def pointer_is_in_the_picture(guest):
    """The guest's X server paints it: people see it, whatever they watch with."""
    guest.open_test_page()
    x, y = guest.at(10, 400)

    def dark():
        rows = Image(guest.shot(picture("pointer.png"))).rows[y - 8:y + 20]
        return sum(1 for row in rows for at in range(3 * (x - 8), 3 * (x + 16), 3)
                   if max(row[at:at + 3]) < 64)

    guest.act("mouse_move", coordinate=[x + 200, y])
    wait_until(lambda: dark() == 0, "a picture without it")
    guest.act("mouse_move", coordinate=[x, y])
    wait_until(lambda: dark() > 20, "the pointer in the picture")


@test(guest="main")
def wheel_scrolls(guest):
    guest.open_test_page()
    for direction, amount, where in (("down", 5, lambda e: e["y"] > 0 and e["x"] == 0),
                                     ("up", 30, lambda e: e["y"] == 0),
                                     ("right", 3, lambda e: e["x"] > 0 and e["y"] == 0),
                                     ("left", 30, lambda e: e["x"] == 0)):
        mark = guest.web.mark()
        guest.act("scroll", coordinate=guest.at(300, 500), scroll_direction=direction,
                  scroll_amount=amount)
        event = guest.web.wait("scroll", mark)
        while not where(event):
            mark = guest.web.mark()
            event = guest.web.wait("scroll", mark, limit=30)


@test(guest="main")
def navigation(guest):
    def browser(op, **more):
        return guest.agent("browser", op=op, **more)

    answer = guest.open("/plain/a")
    equal((answer["url"], answer["title"], answer["status"]),
          ("http://127.0.0.1:8000/plain/a", "Plain a", 200), "the answer")
    equal(guest.open("/plain/b")["title"], "Plain b", "the title")
    equal(guest.open("/missing")["status"], 404, "the status")
    equal(browser("back")["title"], "Plain b", "the title after back")
    equal(browser("back")["url"], "http://127.0.0.1:8000/plain/a", "the URL after back")
    equal(browser("reload")["title"], "Plain a", "the title after reload")
    state = browser("state")
    equal((state["url"], state["title"], state["loading"]),
          ("http://127.0.0.1:8000/plain/a", "Plain a", False), "the state")
    equal(guest.act("navigate", url="data:text/html,<title>here</title>x")["title"], "here",
          "the title of a data URL")
    equal(guest.act("navigate", url="about:blank")["url"], "about:blank", "the URL")


@test(guest="main")
def navigation_refused(guest):
    for url in ("file:///etc/passwd", "chrome://settings/", "javascript:alert(1)",
                "view-source:http://127.0.0.1:8000/", "about:gpu"):
        answer = guest.act("navigate", status=1, url=url)
        equal(answer["error"]["code"], "denied", f"the code for {url}")
    answer = guest.act("navigate", status=1, url="http://127.0.0.1:8999/")
    equal(answer["error"]["code"], "failed", "the code for a port where nobody is")
    contains(answer["error"]["message"], "ERR_CONNECTION_REFUSED", "the message")
    answer = guest.act("navigate", status=1, url="http://example.com/")
    contains(answer["error"]["message"], "ERR_", "the message")


# (the action, what the message says)
WRONG = [
    ("{", "no JSON"), ("[]", "a list has"), ("[7]", "a JSON object"), ("{}", "action: is missing"),
    ('{"action":"dance"}', "unknown"), ('{"action":7}', "action"),
    ('{"action":"wait","action":"wait"}', "no JSON"),
    ('{"action":"mouse_move"}', "coordinate: is missing"),
    ('{"action":"left_click","coordinate":[1]}', "two integers"),
    ('{"action":"left_click","coordinate":[1.5,2]}', "two integers"),
    ('{"action":"left_click","coordinate":["1",2]}', "two integers"),
    ('{"action":"left_click","coordinate":[-1,2]}', "outside"),
    ('{"action":"left_click","coordinate":[1280,10]}', "outside of the screen, which is 1280x800"),
    ('{"action":"mouse_move","coordinate":[10,800]}', "outside of the screen"),
    ('{"action":"left_click","coordinate":[1,2],"text":"hyper"}', "modifiers"),
    ('{"action":"left_click","coordinate":[1,2],"colour":"red"}', "no argument"),
    ('{"action":"scroll","coordinate":[1,2],"scroll_direction":"in","scroll_amount":1}', "must be"),
    ('{"action":"scroll","coordinate":[1,2],"scroll_direction":"up","scroll_amount":101}', "0 to 100"),
    ('{"action":"scroll","coordinate":[1,2],"scroll_direction":"up"}', "scroll_amount: is missing"),
    ('{"action":"type"}', "text: is missing"), ('{"action":"type","text":""}', "is empty"),
    ('{"action":"type","text":5}', "must be a string"),
    ('{"action":"type","text":"%s"}' % ("x" * 8193), "longer than 8192"),
    ('{"action":"key"}', "text: is missing"), ('{"action":"key","text":"   "}', "is empty"),
    ('{"action":"key","text":"no_such_key"}', "no_such_key"),
    ('{"action":"wait"}', "duration: is missing"),
    ('{"action":"wait","duration":-1}', "0 to 300"), ('{"action":"wait","duration":"1"}', "0 to 300"),
    ('{"action":"navigate"}', "url: is missing"), ('{"action":"navigate","url":"here"}', "scheme"),
    ('{"action":"navigate","url":"http://a\\u0001b/"}', "control character"),
    ('{"action":"screenshot","file":"x"}', "no argument"),
]


@test(guest="main")
def wrong_actions_are_refused(guest):
    for action, message in WRONG:
        result = cloche("act", guest.name, action)
        equal(result.status, 2, f"the status of {action[:80]} ({result.err[-200:]})")
        contains(result.error, message, f"the message for {action[:80]}")
        answer = cloche("--json", "act", guest.name, action, status=2).json()
        equal(answer["ok"], False, f"ok for {action[:80]}")


@test(guest="main")
def actions_that_only_look(guest):
    answer = guest.act("screenshot")
    check(answer["width"] == 1280 and "png_base64" in answer, f"answer {list(answer)}")
    equal(guest.act("wait", duration=0.01)["action"], "wait", "the action")
    result = cloche("act", guest.name, "-", stdin=b'{"action":"wait","duration":0}', status=0)
    contains(result.out.decode(), "wait")


@test(guest="main")
def freeze_shot_thaw(guest):
    guest.open_test_page()
    # The browser's own bars are done later than the page; here nothing may change between two pictures.
    cloche("wait", guest.name, "--for", "settled", "--quiet-ms", "2000", "--timeout", PATIENCE,
           status=0)
    before = cloche("--json", "shot", guest.name, picture("before.png"), status=0).json()
    cloche("freeze", guest.name, status=0)
    try:
        frozen = cloche("--json", "shot", guest.name, picture("frozen.png"), status=0).json()
        equal(frozen["hash"], before["hash"], "the hash of the frozen picture")
        exits = guest.status()["exits"]
        equal(guest.listed()["state"], "paused", "the state")
        with guest.control() as control:
            reply = control.agent("exec", argv=["true"])
            equal(reply["error"]["code"], "not_ready", "the error code while frozen")
        contains(guest.exec("true", status=125).error, "frozen")
        cloche("freeze", guest.name, status=0)
        equal(guest.status()["exits"], exits, "what its CPUs have done meanwhile")
    finally:
        cloche("thaw", guest.name, status=0)
    equal(guest.listed()["state"], "running", "the state")
    equal(guest.shell("echo on").strip(), "on", "what it says afterwards")
    mark = guest.web.mark()
    guest.act("left_click", coordinate=guest.at(*ONE))
    guest.web.wait("click", mark, target="one")
    cloche("thaw", guest.name, status=0)
