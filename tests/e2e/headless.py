# SPDX-License-Identifier: GPL-2.0-or-later
"""headless.py - a headless Chromium of this machine, driven over its DevTools pipe."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

BROWSER = "/usr/lib/chromium/chromium"
# Without a sandbox it can run as root; it is shown nothing but our own page.
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-extensions", "--disable-sync", "--no-proxy-server", "--hide-scrollbars",
         "--force-device-scale-factor=1", "--remote-debugging-pipe"]
# In one process it comes up sooner where all is emulated.
LIGHT_FLAGS = ["--single-process", "--no-zygote", "--disable-software-rasterizer",
               "--disable-breakpad"]


class PageError(Exception):
    pass


class Headless:
    """A browser with one page. `wrap` is a command that runs it, as in a chroot."""

    def __init__(self, wrap=(), size=(1400, 1000), patience=60, light=False):
        self.patience = patience
        self.home = tempfile.mkdtemp(prefix="cloche-headless.", dir="/tmp")
        commands, ours_out = os.pipe()
        ours_in, answers = os.pipe()

        self.log = open(os.path.join(self.home, "log"), "wb")
        # The browser wants its pipe as descriptors 3 and 4; Popen can't give numbers.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "headless", *wrap, BROWSER,
             *FLAGS, *(LIGHT_FLAGS if light else []), f"--user-data-dir={self.home}", f"--window-size={size[0]},{size[1]}",
             "about:blank"],
            pass_fds=(commands, answers), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True, env=dict(os.environ, HOME=self.home, TMPDIR=self.home))
        os.close(commands)
        os.close(answers)
        self.out, self.inp = ours_out, ours_in
        self.data = b""
        self.number = 0
        self.events = []
        self.session = None
        self.attach()

    def attach(self):
        deadline = time.monotonic() + self.patience
        while True:
            pages = [t for t in self.call("Target.getTargets")["targetInfos"]
                     if t["type"] == "page"]
            if pages:
                break
            if time.monotonic() > deadline:
                raise TimeoutError("the browser has no page")
            time.sleep(0.1)
        self.session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"],
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def last_words(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()[-600:]

    def receive(self, deadline):
        while b"\0" not in self.data:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.inp], [], [], left)[0]:
                raise TimeoutError("the browser says nothing")
            data = os.read(self.inp, 1 << 20)
            if not data:
                raise EOFError(f"the browser has gone: {self.last_words()}")
            self.data += data
        message, self.data = self.data.split(b"\0", 1)
        message = json.loads(message)
        if "id" not in message:
            self.events.append(message)
        return message

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + self.patience
        while True:
            message = self.receive(deadline)
            if message.get("id") == self.number:
                break
        if "error" in message:
            raise PageError(f"{method}: {message['error']}")
        return message["result"]

    def open(self, url):
        """Goes there and waits until it has loaded."""
        self.events.clear()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise PageError(f"{url}: {answer['errorText']}")
        deadline = time.monotonic() + self.patience
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.receive(deadline)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in answer:
            raise PageError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression, limit=None):
        """Until the expression is true."""
        deadline = time.monotonic() + (limit or self.patience)
        while True:
            value = self.evaluate(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expression} didn't become true; the page says "
                                   f"{self.evaluate('document.body.innerText')!r}; {self.complaints()}")
            time.sleep(0.1)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector):
        box = self.evaluate(f"(({{x,y,width,height}}) => [x + width / 2, y + height / 2])"
                            f"(document.querySelector({json.dumps(selector)})"
                            f".getBoundingClientRect())")
        self.click(*box)

    def key(self, key, code, number, text=""):
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text,
                  **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        """Lower-case letters and digits."""
        for char in text:
            code = f"Digit{char}" if char.isdigit() else f"Key{char.upper()}"
            self.key(char, code, ord(char.upper()), char)

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def complaints(self):
        """What the browser found wrong with pages so far: console errors, policy violations."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Log.entryAdded":
                found.append(params["entry"]["text"])
            elif event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"])[:300])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
                found.append(str(params["args"])[:300])
        return found

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        for fd in (self.out, self.inp):
            os.close(fd)
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
