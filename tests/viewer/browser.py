"""A real browser without a window, driven through the pipe that Chromium opens for its debugging protocol.

https://chromedevtools.github.io/devtools-protocol/: messages are JSON, each ended by a zero byte; commands come in by file
descriptor 3, answers and events go out by 4. No driver and no web socket is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900")
PATIENCE = 60.0  # seconds
SPECIAL = {"Escape": 27, "ArrowRight": 39, "ArrowDown": 40, "End": 35, "Home": 36}


class Browser:
    """A running browser; leaving the block ends it."""

    def __init__(self, program: str) -> None:
        self.program, self.number, self.buffer = program, 0, b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        # Above 9, so that neither is overwritten while the shell makes 3 and 4 of them.
        theirs_in, self.out = self._pipe()
        self.inward, theirs_out = self._pipe()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        options = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", self.program, *options],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.inward)
        self.folder.cleanup()

    @staticmethod
    def _pipe() -> tuple[int, int]:
        ends = os.pipe()
        high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
        for end in ends:
            os.close(end)
        return high[0], high[1]

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        os.write(self.out, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (answer := self._read()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.inward], [], [], max(0.0, until - time.monotonic()))
            part = os.read(self.inward, 1 << 20) if ready else b""
            assert part, "the browser does not answer"
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    @contextlib.contextmanager
    def tab(self, path: Path, state: str = "") -> Iterator[Tab]:
        """Open a file, with a state in its address."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events.clear()
        tab = Tab(self, session, path.resolve().as_uri())
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        tab.open(state)
        try:
            yield tab
        finally:
            self.call("Target.closeTarget", targetId=target)


class Tab:
    """One page in the browser."""

    def __init__(self, browser: Browser, session: str, address: str) -> None:
        self.browser, self.session, self.address = browser, session, address

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to this page."""
        return self.browser.call(method, self.session, **parameters)

    def open(self, state: str = "") -> None:
        """Load the page anew with a state in its address, and wait until it is ready."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=f"{self.address}#{state}")
        self.wait("document.documentElement?.dataset.ready")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < until, f"never true: {condition}"
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, as a person does."""
        pressed: dict[str, Any] = {"key": key}
        if key in SPECIAL:
            pressed |= {"windowsVirtualKeyCode": SPECIAL[key], "code": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", **pressed, **({} if key in SPECIAL else {"text": key}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def write(self, text: str) -> None:
        """Put a text into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def choose(self, field: str, value: str) -> None:
        """Choose an option of a field, as its menu does."""
        self.value(
            f"(() => {{ const f = document.querySelector({field!r}); f.value = {value!r}; f.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
        )

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a selector finds."""
        found: list[str] = self.value(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)")
        return found

    @property
    def listed(self) -> list[str]:
        """The dialogues of the list, in order."""
        found: list[str] = self.value("[...document.querySelectorAll('#rows .row')].map((row) => row.dataset.dialogue)")
        return found

    @property
    def complaints(self) -> list[str]:
        """What the browser has said of the page: exceptions, refusals of its policy, anything in the console."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"])[:500] for event in self.browser.events if event.get("method") in kinds]

    @property
    def asked(self) -> set[str]:
        """The addresses that the page has asked for."""
        sent = [event for event in self.browser.events if event.get("method") == "Network.requestWillBeSent"]
        return {event["params"]["request"]["url"].split("#")[0] for event in sent} - {"about:blank"}
