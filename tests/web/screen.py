"""A page in a real Chromium: what a test does with it, and what it complains of by itself.

Nothing but 127.0.0.1 can be reached, and whoever tries is told on: a console error, an error in a script, a request
that failed or went elsewhere fails the test when its screen closes, unless the test allowed it.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebSocket

FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # Blocked below the pages: a handler for every request would stand still while a test does something else.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
TIMEOUT_SECONDS = 15.0
_HERE = Path(__file__).parent
_WIDE, _PHONE = (1440, 900), (360, 740)

_WATCH_SHIFTS = """() => {
  let sum = 0;
  const add = entries => { for (const entry of entries) if (!entry.hadRecentInput) sum += entry.value; };
  const observer = new PerformanceObserver(list => add(list.getEntries()));
  observer.observe({type: "layout-shift", buffered: true});
  window.layoutShift = async () => {
    // A shift is known once its frame is drawn.
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    add(observer.takeRecords());
    return sum;
  };
}"""
_RUN_AXE = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map(v => ({
    rule: v.id, impact: v.impact, help: v.help, where: v.nodes.map(n => n.target.join(" ")),
  }));
}"""


class Complaints(AssertionError):
    """What went wrong on a screen without the test looking for it."""


@dataclass(frozen=True)
class Violation:
    """A rule of accessibility that a page breaks; where: CSS selectors."""

    rule: str
    impact: str
    help: str
    where: tuple[str, ...]


@dataclass
class Screen:
    """A browser context of its own with one page."""

    context: BrowserContext
    page: Page
    shots: Path
    _seen: list[str] = field(default_factory=list)
    _allowed: list[str] = field(default_factory=list)

    def carry(self, url: str, cookies: Mapping[str, str]) -> None:
        """From now on the browser sends these cookies to that address."""
        self.context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])

    def allow(self, text: str) -> None:
        """Complaints that contain this text are meant: "status of 422", say."""
        self._allowed.append(text)

    @property
    def complaints(self) -> list[str]:
        """What was heard up to the last call of Playwright and not allowed."""
        return [c for c in self._seen if not any(text in c for text in self._allowed)]

    def wide(self) -> None:
        self._size(*_WIDE)

    def phone(self) -> None:
        self._size(*_PHONE)

    def dark(self) -> None:
        self.page.emulate_media(color_scheme="dark")

    def light(self) -> None:
        self.page.emulate_media(color_scheme="light")

    @property
    def layout_shift(self) -> float:
        """By how much the document that is open has moved under its reader; input excuses half a second."""
        return float(self.page.evaluate("() => window.layoutShift()"))

    def axe(self) -> list[Violation]:
        """The serious and critical violations that axe-core finds on the page as it is."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate((_HERE / "vendor" / "axe.min.js").read_text(encoding="utf-8"))
        found = self.page.evaluate(_RUN_AXE)
        violations = [Violation(v["rule"], v["impact"], v["help"], tuple(v["where"])) for v in found]
        return [v for v in violations if v.impact in ("serious", "critical")]

    def until(self, function: str) -> None:
        """Ask a JavaScript function until it answers true. Playwright's own waiting evaluates a text inside the page,
        which our Content-Security-Policy forbids as soon as the first answer is no."""
        ends = time.monotonic() + TIMEOUT_SECONDS
        while not self.page.evaluate(function):
            assert time.monotonic() < ends, f"never true: {function}"
            self.page.wait_for_timeout(50)

    def shot(self, name: str) -> Path:
        """A picture of the whole page, as `name`.png in the directory that DESKWRIGHT_SHOTS names."""
        file = self.shots / f"{name}.png"
        self.page.screenshot(path=file, full_page=True, animations="disabled")
        return file

    def _size(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def __post_init__(self) -> None:
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self._seen.append(f"error in a script: {error.error}"))
        self.context.on("request", lambda request: self._foreign(request.url))
        self.context.on("requestfailed", self._failed)
        self.page.on("websocket", self._websocket)
        self.context.on("page", lambda page: page.on("websocket", self._websocket))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._seen.append(f"console: {message.text} ({message.location['url']})")

    def _websocket(self, socket: WebSocket) -> None:
        self._foreign(socket.url)

    def _foreign(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self._seen.append(f"request to elsewhere: {url}")

    def _failed(self, request: Request) -> None:
        # A page that is left drops what it was loading.
        if request.failure != "net::ERR_ABORTED":
            self._seen.append(f"request failed: {request.url} ({request.failure})")


@dataclass(frozen=True)
class Chromium:
    """A running browser, and the event loop that Playwright drives it by."""

    browser: Browser
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def screen(self, shots: Path, *, scripts: bool = True) -> Iterator[Screen]:
        """A screen, several if a test has several people. Raises Complaints at its end.

        scripts: False turns JavaScript off; `axe` and `layout_shift` need it.
        """
        shots.mkdir(parents=True, exist_ok=True)
        with self.driving():
            context = self.browser.new_context(
                viewport={"width": _WIDE[0], "height": _WIDE[1]},
                color_scheme="light",
                reduced_motion="reduce",
                java_script_enabled=scripts,
            )
            try:
                context.set_default_timeout(TIMEOUT_SECONDS * 1000)
                context.add_init_script(f"({_WATCH_SHIFTS})()")
                screen = Screen(context, context.new_page(), shots)
                yield screen
            finally:
                context.close()  # what is still under way arrives before this returns
            if screen.complaints:
                raise Complaints("\n".join(screen.complaints))

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Playwright marks its loop as this thread's running one; other tests of the process must not see that."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)
