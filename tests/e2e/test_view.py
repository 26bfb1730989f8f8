# SPDX-License-Identifier: GPL-2.0-or-later
"""The screen in a browser outside: what it shows is what the guest shows, and it types when it may.

The browser is the root image's own, run beside the guest, not in it.
"""
from harness import check, contains, equal, more_time, test, wait_until
from png import Image
from programs import cloche
from viewing import STATE, WATCHING, View, canvas, differing, on_page, outside
from test_screen import FIRST, picture


def shot(guest):
    return Image(guest.shot(picture("view.png"))).rows


def shows_the_same(guest, browser):
    """The blinking caret and the pointer are all that may differ."""
    wanted = shot(guest)
    return differing(canvas(browser), wanted) < 2000


@test(guest="main")
def browser_outside_shows_and_types(guest):
    with outside() as browser, View(guest.name, "--control") as view:
        mark = guest.open_test_page()
        guest.settle()
        browser.open(view.urls["watch"][0])
        browser.wait(WATCHING)
        more_time()
        wait_until(lambda: shows_the_same(guest, browser), "the guest's picture")
        equal(browser.complaints(), [], "what the browser complains of")

        size = guest.loaded["screenWidth"], guest.loaded["screenHeight"]
        browser.click(*on_page(browser, guest.at(*FIRST), size))
        browser.type("no")
        browser.open(view.urls["control"][0])
        browser.wait("!document.getElementById('control').disabled")
        more_time()
        browser.click_on("#control")
        browser.wait(f"{STATE}.startsWith('You have control')")
        answer = guest.act("left_click", coordinate=guest.at(*FIRST), status=1)
        equal(answer["error"]["code"], "control_taken", "the code")

        browser.click(*on_page(browser, guest.at(*FIRST), size))
        guest.web.wait("focus", mark, target="first")
        browser.type("watched42")
        guest.web.wait("input", mark, target="first", value="watched42")
        check(not any(e["kind"] == "keydown" and e["key"] in "no" for e in guest.web.events[mark:]),
              "keys of a viewer who only looks came")
        wait_until(lambda: shows_the_same(guest, browser), "the picture with what was typed")

        browser.click_on("#control")
        browser.wait(WATCHING)
        guest.act("key", text="ctrl+a")
        equal(view.stop(), (0, b""), "how the server ends")
        browser.wait(f"{STATE} === 'The server of this page has ended'")


@test(guest="main")
def vnc_socket_is_told(guest):
    answer = cloche("--json", "view", guest.name, "--vnc", status=0).json()
    equal(answer["socket"], guest.path("vnc.sock"), "the socket")
    contains(cloche("view", guest.name, "--vnc", status=0).out.decode(), answer["socket"])
