"""Fixtures for tests that look at pages in a real Chromium."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.web.screen import FLAGS, Chromium, Screen


def executable() -> str:
    """The installed Chromium; Playwright would download one of its own."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("Chromium is missing: `make test` on a new checkout installs it, or sudo apt install chromium.")
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for this test process."""
    installed = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, headless=True, args=FLAGS)
        started = Chromium(browser, asyncio.get_running_loop())
        asyncio._set_running_loop(None)
        yield started
        asyncio._set_running_loop(started.loop)
        browser.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures go: the directory that DESKWRIGHT_SHOTS names, else the test's own."""
    return Path(os.environ.get("DESKWRIGHT_SHOTS") or tmp_path)


@pytest.fixture
def screen(chromium: Chromium, shots: Path) -> Iterator[Screen]:
    """A fresh page, 1440 by 900, light; fails the test at its end if the page complained (`tests.web.screen`)."""
    with chromium.screen(shots) as opened:
        yield opened
