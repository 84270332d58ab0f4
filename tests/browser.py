"""A headless Chromium driven over its debugging pipe: the standard library is all it needs.

The Chrome DevTools Protocol, as https://chromedevtools.github.io/devtools-protocol/ has it: JSON
messages that end in a zero byte, ours to file descriptor 3 of the browser, its own from 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from conftest import PATIENCE_S

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32, "ArrowLeft": 37, "ArrowUp": 38}
KEYS |= {"ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}
# A process that becomes the browser, with our pipes at the descriptors it expects them at.
WIRED = """
import os, sys
there, back = (os.dup(os.dup(os.dup(int(fd)))) for fd in sys.argv[1:3])
os.dup2(there, 3)
os.dup2(back, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
LOCAL = ("file:", "data:", "about:")


class Browser:
    """One page of a headless browser, with what it asked for and complained of since it opened."""

    def __init__(self, profile: Path) -> None:
        assert BROWSER is not None
        there, self._out = os.pipe()
        self._in, back = os.pipe()
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--disable-background-networking", "--disable-dev-shm-usage", "--no-first-run"]
        command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", WIRED, str(there), str(back), *command],
            pass_fds=(there, back),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        targets = self("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        os.close(self._in)
        os.close(self._out)

    def __call__(self, method: str, **params: Any) -> Any:
        """Send a command and return its answer; events that come in between are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _read(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], timeout_s)
            assert ready, "the browser does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a page at a width in CSS pixels, in a colour scheme, and wait until it is there."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + PATIENCE_S
        while self.run("document.readyState") != "complete":
            assert time.monotonic() < deadline, f"{page} does not load"
            time.sleep(0.05)

    def run(self, code: str) -> Any:
        """Return the value of an expression of the page, promises awaited."""
        answer = self("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key, as a user would."""
        own: dict[str, Any] = {"key": key, "code": "Space" if key == " " else key}
        own["windowsVirtualKeyCode"] = KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key)
        self("Input.dispatchKeyEvent", type="keyDown", **own, **({"text": text} if text else {}))
        self("Input.dispatchKeyEvent", type="keyUp", **own)

    def complaints(self) -> list[str]:
        """Return errors and warnings of the console, scripts and the security policy."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            if event["method"] == "Runtime.consoleAPICalled" and params["type"] != "log":
                found.append(str(params))
            if event["method"] == "Log.entryAdded":
                found.append(params["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Return the addresses that were asked for beyond the page itself and its data."""
        asked = [event["params"]["request"]["url"] for event in self.events
                 if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
        return [url for url in asked if not url.startswith(LOCAL)]

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Save what is shown, or the whole page."""
        data = self("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
