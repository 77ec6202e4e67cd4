"""The screen of the page tests sees what it is there for: errors, strangers, contrast, shifts."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deskwright import serve
from tests.web import browser
from tests.web.screen import Chromium, Complaints, Screen

# As strict as the pages' own: nothing inline, nothing evaluated.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src *; base-uri 'none'"
STYLE = ".pale { color: #ddd; background: #fff } .tall { height: 300px } body { margin: 0 }"
SCRIPTS = {
    "console": "console.error('deliberate')",
    "throws": "throw new Error('deliberate')",
    "evaluates": "eval('1')",
    "elsewhere": "fetch('http://example.com/beacon').catch(() => 0)",
    "socket": "new WebSocket('ws://example.com/').onerror = () => 0",
    "absent": "fetch('/absent')",
    "shifts": """
      requestAnimationFrame(() => requestAnimationFrame(() => {
        document.body.prepend(Object.assign(document.createElement('div'), {className: 'tall'}));
        requestAnimationFrame(() => document.body.dataset.done = '');
      }))""",
}


def _page(request: Request) -> Response:
    script = request.query_params.get("script")
    loaded = f'<script src="/{script}.js" defer></script>' if script else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Test</title><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="/style.css">{loaded}</head><body><main><h1>Cloud PCs</h1>'
        f'<p class="{request.query_params.get("class", "")}">Ready</p></main></body></html>'
    )
    return HTMLResponse(body, headers={"Content-Security-Policy": POLICY})


def _script(request: Request) -> Response:
    return Response(SCRIPTS[request.path_params["name"]], media_type="text/javascript")


def _style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css")


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    listening = serve.listen("127.0.0.1", 0)
    app = Starlette(routes=[Route("/", _page), Route("/style.css", _style), Route("/{name}.js", _script)])
    server = uvicorn.Server(uvicorn.Config(app, **serve.UVICORN))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield serve.address(listening)
    server.should_exit = True
    thread.join(20)


def test_a_page_without_fault_passes_and_is_pictured(screen: Screen, page_url: str, shots: Path) -> None:
    screen.page.goto(page_url)
    assert screen.axe() == []
    assert screen.layout_shift == 0
    with Image.open(screen.shot("screen-wide")) as picture:
        assert picture.size == (1440, 900)
    screen.phone()
    screen.dark()
    assert screen.page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    with Image.open(screen.shot("screen-phone")) as picture:
        assert picture.size == (360, 740)
    assert (shots / "screen-phone.png").is_file()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console", "console: deliberate"),
        ("throws", "error in a script: .*deliberate"),
        ("evaluates", "Content Security Policy"),
        ("elsewhere", "request to elsewhere: http://example.com/beacon"),
        ("socket", "request to elsewhere: ws://example.com/"),
        ("absent", "status of 404"),
    ],
)
def test_what_a_page_complains_of_fails_its_test(
    chromium: Chromium, page_url: str, tmp_path: Path, script: str, complaint: str
) -> None:
    with pytest.raises(Complaints, match=complaint), chromium.screen(tmp_path) as screen:
        screen.page.goto(f"{page_url}?script={script}", wait_until="networkidle")


def test_what_is_allowed_passes(screen: Screen, page_url: str) -> None:
    screen.allow("status of 404")
    with screen.page.expect_response("**/absent"):
        screen.page.goto(f"{page_url}?script=absent")


def test_strangers_are_not_reached(screen: Screen, page_url: str) -> None:
    screen.allow("example.com")
    with screen.page.expect_event("requestfailed") as failed:
        screen.page.goto(f"{page_url}?script=elsewhere")
    assert failed.value.failure == "net::ERR_NAME_NOT_RESOLVED"


def test_low_contrast_is_a_violation_in_spite_of_the_policy(screen: Screen, page_url: str) -> None:
    screen.page.goto(f"{page_url}?class=pale")
    assert [(v.rule, v.where) for v in screen.axe()] == [("color-contrast", ("p",))]


def test_a_shift_is_measured(screen: Screen, page_url: str) -> None:
    screen.page.goto(f"{page_url}?script=shifts")
    screen.page.wait_for_selector("body[data-done]")
    assert screen.layout_shift > 0
    screen.page.goto(page_url)
    assert screen.layout_shift == 0, "each document counts for itself"


def test_without_scripts_none_runs(chromium: Chromium, page_url: str, tmp_path: Path) -> None:
    with chromium.screen(tmp_path, scripts=False) as screen:
        screen.page.goto(f"{page_url}?script=console")
        assert screen.page.inner_text("h1") == "Cloud PCs"


def test_other_tests_of_the_process_have_event_loops_of_their_own(chromium: Chromium, tmp_path: Path) -> None:
    with chromium.screen(tmp_path) as one, chromium.screen(tmp_path) as other:
        assert one.context is not other.context
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"


def test_without_a_browser_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="`make test` on a new checkout installs it"):
        browser.executable()
