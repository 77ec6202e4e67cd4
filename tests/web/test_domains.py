"""Active Directory domains in the admin center, with a real controller behind them."""

from typing import Any

import pytest

from deskwright.operations import domains
from tests.company import Company
from tests.real_domain import RealDomain
from tests.web.browser import chromium, screen, shots
from tests.web.conftest import Browser, Site
from tests.web.screen import Screen

__all__ = ["chromium", "screen", "shots"]

PASSWORD = "battery staple"


def entered(real: RealDomain, unit: str, **given: Any) -> dict[str, Any]:
    """The form of a domain, filled in rightly."""
    admin = real.administrator
    return {
        "domainName": real.domain.name,
        "userName": admin.name,
        "password": admin.password,
        "nameServers": "\r\n".join(real.domain.name_servers),
        "controllers": "",
        "caCertificate": real.domain.ca_certificate,
        "searchBases": unit,
        "startTls": "false",
        "syncEnabled": "true",
        "syncIntervalInMinutes": "30",
        "signIn": "none",
        **given,
    }


def test_a_domain_is_tried_added_followed_and_forgotten(
    pages: Browser, company: Company, real_domain: RealDomain
) -> None:
    unit = real_domain.unit()
    real_domain.user("webann", unit=unit)
    assert "No domains yet" in pages.get("domains").words
    wrong = pages.post("domains/new", entered(real_domain, unit, password=PASSWORD))
    assert wrong.status == 422
    assert "incorrectCredentials" in wrong.words
    assert PASSWORD not in wrong.text
    both = pages.post("domains/new", entered(real_domain, unit, searchBases="Staff", userName="reader"))
    assert "must be the reading account's UPN" in both.words
    made = pages.post("domains/new", entered(real_domain, unit))
    assert "Its first synchronisation starts now" in made.words
    assert "about to begin" in pages.get(f"domains/{real_domain.domain.name}").words
    company.settle()
    page = pages.get(f"domains/{real_domain.domain.name}")
    assert "1 person came" in page.words
    assert real_domain.controller.password not in page.text
    person = pages.get(f"users/webann@{real_domain.domain.name}")
    assert f"Synchronised from {real_domain.domain.name}" in person.words
    assert "Change names" not in person.words
    tested = pages.post(f"domains/{real_domain.domain.name}/test")
    assert "has what it needs" in tested.words
    assert f"1 people, 0 groups, 0 computers in {unit}" in tested.words
    saved = pages.post(
        f"domains/{real_domain.domain.name}/edit", entered(real_domain, unit, password="", syncIntervalInMinutes="60")
    )
    assert "Saved" in saved.words
    assert "every 1 h" in saved.words
    asked = pages.get(f"domains/{real_domain.domain.name}/delete")
    assert "Nobody loses anything. 1 person and 0 groups stay" in asked.words
    assert "is forgotten" in pages.post(f"domains/{real_domain.domain.name}/delete").words


def losing(company: Company) -> str:
    """A domain whose last run stopped (R13)."""
    secrets = company.world.secrets
    made = domains.create(
        company.world.database,
        company.tenant,
        "test",
        secrets=secrets,
        domain_name="corp.contoso.com",
        user_name="reader@corp.contoso.com",
        password=PASSWORD,
        verify=False,
    )
    company.sql(
        "UPDATE domains SET sync_status = 'confirmationRequired', next_sync_at = NULL, sync_losing = "
        """CAST('{"people": 27, "of": 30, "who": ["ann@corp.contoso.com"], "ids": []}' AS jsonb)"""
    )
    return str(made["id"])


def test_r13_who_would_lose_is_shown_and_confirmed(pages: Browser, company: Company) -> None:
    at = f"domains/{losing(company)}"
    page = pages.get(at)
    assert "27 of 30 people would lose their Cloud PC" in page.words
    assert "ann@corp.contoso.com" in page.words
    assert "Waits for a confirmation" in pages.get("domains").words
    assert "goes ahead now" in pages.post(f"{at}/confirm").words
    assert company.sql("SELECT sync_confirmed FROM domains") == [(True,)]


def test_an_empty_interval_is_refused_by_name(pages: Browser, company: Company) -> None:
    losing(company)
    wrong = pages.post("domains/corp.contoso.com/edit", {"userName": "reader@corp.contoso.com", "untried": "true"})
    assert wrong.status == 422
    assert "syncIntervalInMinutes" in wrong.text


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_the_progress_of_a_run_is_seen_without_loading_anew(site: Site, screen: Screen, width: str) -> None:
    company = site.company
    made = losing(company)
    screen.carry(site.url, site.cookies)
    if width == "phone":
        screen.phone()
    company.sql("UPDATE domains SET syncing_since = tenant_now(tenant_id), sync_progress = 'reading people: 3,000'")
    screen.page.goto(f"{site.at('domains')}/{made}")
    screen.page.get_by_text("Reading people: 3,000").wait_for()
    company.sql("UPDATE domains SET sync_progress = 'comparing'")
    screen.page.get_by_text("Comparing").wait_for()
    assert screen.axe() == []
