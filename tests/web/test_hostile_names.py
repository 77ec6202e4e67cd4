"""Whatever people call things, every page tells it as text."""

import pytest

from deskwright.web import pages as table
from tests.company import Company
from tests.web.conftest import Browser, as_person
from tests.web.museum import furnish, path_of

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "\u05e9\u05dc\u05d5\u05dd {{ 7 * 7 }} </title>",
    "\U0001f600" * 255,
)
_RENAMED = (
    ("users", "display_name"),
    ("groups", "display_name"),
    ("connections", "display_name"),
    ("device_images", "display_name"),
    ("user_settings", "display_name"),
    ("policies", "description"),
    ("cloud_pcs", "display_name"),
    ("bulk_actions", "display_name"),
    ("app_registrations", "display_name"),
    ("audit_events", "object_name"),
)


@pytest.mark.parametrize("name", HOSTILE, ids=["script", "image", "right-to-left", "emoji"])
def test_names_are_told_as_text(name: str, pages: Browser, company: Company) -> None:
    examples = furnish(company)
    for object_, column in _RENAMED:
        company.sql(f"UPDATE {object_} SET {column} = :name || left(id::text, 4)", name=name)
    company.sql("UPDATE steps SET output = :name, message = :name WHERE outcome <> 'running'", name=name)
    seen = 0
    adele = as_person(pages, company, "adele", None)
    for entry in table.load():
        if entry.method != "GET":
            continue
        browser = adele if entry.needs is table.Needs.PERSON else pages
        page = browser.get(path_of(entry, examples))
        if "text/html" not in page.headers.get("content-type", ""):
            continue
        for raw in ("<script>alert", "<img src=x", "49 </title>", "onerror=alert(2)>"):
            assert raw not in page.text, entry.path
        seen += name in page.words
    assert seen > 20
