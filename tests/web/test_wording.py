"""What people read: words of the field, no names of the code and no numbers of the specification."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from deskwright.domain.status import Status
from deskwright.web import pages as table
from deskwright.web import words
from tests.company import Company
from tests.web.conftest import Browser, as_person
from tests.web.museum import furnish, path_of
from tests.web.test_every_page import SHOWN

_CODED = re.compile(r"<(code|pre)\b.*?</\1>|<(script|style|svg)\b.*?</\2>", re.S)
_CODE_NAME = re.compile(
    r"\b(?:(?:azureAD|hybridAzureAD)Join|"
    + "|".join(s for s in Status if s.lower() != s)
    + r"|[ERVL]\d{1,2}\b(?! ?GB)|C[1-6]\b)"
)


def _read(html: str) -> str:
    """What stands there for people; code that is shown as code apart."""
    return " ".join(re.sub(r"<[^>]*>", " ", _CODED.sub(" ", html.partition("<body")[2])).split())


def test_no_page_speaks_in_code(pages: Browser, company: Company) -> None:
    examples = furnish(company)
    paths = [path_of(e, examples) for e in SHOWN if e.needs is not table.Needs.NOBODY]
    paths += [f"/admin/{examples['tenant']}/cloud-pcs/{examples[k]}" for k in ("in_grace", "with_warnings", "failed")]
    adele = as_person(pages, company, "adele", None)
    found = {}
    for path in paths:
        html = (adele if path.startswith("/portal") else pages).get(path).text
        # The timeline names each step by its id too, as the faults of the simulator and the documentation do.
        html = re.sub(r'<span class="mono soft">[A-Z]\d</span>', "", html)
        if _CODE_NAME.search(_read(html)):
            found[path] = [_read(html)[max(m.start() - 60, 0) : m.end() + 20] for m in _CODE_NAME.finditer(_read(html))]
    assert not found, "\n".join(f"{path}: {seen}" for path, seen in found.items())


def test_nothing_at_an_address_is_told_as_a_page(pages: Browser) -> None:
    for path in ("/admin/contoso.com/nothing/here", "/portal/nothing", "cloud-pcs/x/retry"):
        got = pages.get(path)
        assert got.status == 404
        assert "There is no such page" in got.words
        assert got.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(seconds=3), "now"),
        (timedelta(seconds=-42), "42 s ago"),
        (timedelta(minutes=-10, seconds=-51), "10 min ago"),
        (timedelta(minutes=14, seconds=59), "in 15 min"),
        (timedelta(days=2, hours=3, minutes=5), "in 2 d 3 h"),
    ],
)
def test_a_distance_is_told_as_people_tell_it(away: timedelta, said: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert words.relative(now + away, now) == said


def test_states_and_errors_are_words() -> None:
    assert words.activity("Cloud PC is inGracePeriod") == "Cloud PC is in grace period"
    assert words.activity("Rename group") == "Rename group"
    assert words.of_property("status", "provisionedWithWarnings") == "Provisioned with warnings"
    assert words.of_property("healthCheckStatus", "passed") == "Healthy"
    assert words.of_property("why", "joinDomainFailed") == "Domain join failed"
    assert words.of_property("displayName", "passed") == "passed"
    assert words.plain([{"number": 1, "groupId": "x", "groupDisplayName": "Sales"}]) == "Sales"
    assert words.title("cloudPcNamingTemplate") == "Cloud PC naming template"
    assert words.without_rules("How long C4 waits (E8, L2).") == "How long “Join directory” waits."
