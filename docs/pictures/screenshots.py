"""Make docs/pictures/cloud-pcs.png and overview.png: the admin center during a real demo, when it shows the most."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from playwright.sync_api import Browser, Page, sync_playwright

from deskwright.cli.demo import SAMPLE
from deskwright.cli.session import open_session
from deskwright.identity import sessions
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import roles, users

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
UPN = "megan@contoso.com"


@contextmanager
def service(directory: Path) -> Iterator[tuple[str, str]]:
    """The sample company while it comes up; its address, and the cookie of an administrator."""
    os.environ["DESKWRIGHT_DATA_DIR"] = str(directory)
    os.environ.setdefault("CONTOSO_JOIN_PASSWORD", "made up for a picture")
    sample = ROOT / "src" / "deskwright" / "samples" / SAMPLE
    run = [sys.executable, "-m", "deskwright"]
    serving = subprocess.Popen([*run, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[-1]
        subprocess.run([*run, "apply", "-f", str(sample)], check=True, stdout=subprocess.DEVNULL)
        with open_session() as session:
            tenant, database = session.tenant(None), session.database
            made = users.create(database, tenant, "picture", user_principal_name=UPN, display_name="Megan Bowen")
            roles.assign(database, tenant, "picture", ADMINISTRATOR, UPN)
            yield url, sessions.begin(database, tenant.id, UUID(made["id"]))
    finally:
        serving.terminate()
        serving.wait()


def opened(browser: Browser, url: str, cookie: str, scheme: str) -> Page:
    context = browser.new_context(viewport={"width": 1440, "height": 860}, color_scheme=scheme)  # type: ignore[arg-type]
    context.add_cookies([{"name": "deskwright-session", "value": cookie, "url": url}])
    return context.new_page()


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="dw"))
    directory.chmod(0o711)  # PostgreSQL runs as another user where this one is root
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with service(directory) as (url, cookie), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = opened(browser, url, cookie, "light")
        page.goto(f"{url}/admin/contoso.com/cloud-pcs")
        # Some are ready, some under way, and nobody has reloaded.
        page.locator("tr[data-row] .state.good").nth(3).wait_for(timeout=120_000)
        page.screenshot(path=HERE / "cloud-pcs.png")
        page.locator("tr[data-row] .state.bad").first.wait_for(timeout=240_000)
        while page.locator("tr[data-row] .state.busy").count():
            time.sleep(0.5)
        dark = opened(browser, url, cookie, "dark")
        dark.goto(f"{url}/admin/contoso.com")
        dark.locator("#addresses li").first.wait_for()
        dark.screenshot(path=HERE / "overview.png")
        browser.close()
    shutil.rmtree(directory, ignore_errors=True)


main()
