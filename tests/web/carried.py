"""Walking through a wizard as a browser without JavaScript does: every hidden field travels along."""

import re
from html import unescape

from tests.web.conftest import Browser, Page


def carried(page: Page) -> list[tuple[str, str]]:
    """The hidden fields of the page's form, but for the token, which the browser adds itself."""
    found = []
    form = page.text[page.text.index('<form method="post" class="card"') :]
    for tag in re.findall(r'<input type="hidden"[^>]*>', form.partition("</form>")[0]):
        name, value = (re.search(rf'{a}="([^"]*)"', tag) for a in ("name", "value"))
        if name is not None and name.group(1) != "csrf":
            found.append((unescape(name.group(1)), unescape(value.group(1)) if value else ""))
    return found


def go(pages: Browser, path: str, page: Page, fields: dict[str, str | list[str]], button: str = "next") -> Page:
    """Fill in the page and press a button of it: next, back or create."""
    given = [(n, v) for n, vs in fields.items() for v in (vs if isinstance(vs, list) else [vs])]
    return pages.post(path, [*carried(page), *given, ("go", button)])


def now(page: Page) -> str:
    """The title of the wizard's page."""
    found = re.search(r'<li class="now"[^>]*>.*?</span>([^<]*)</li>', page.text)
    assert found is not None, page.words
    return unescape(found.group(1)).strip()
