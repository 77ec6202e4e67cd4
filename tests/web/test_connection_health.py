"""A connection's checks as people see them: each with its time, live, and the last times as a picture."""

import json
from typing import Any

import pytest

from tests.company import Company
from tests.reconcile.test_health import due_now
from tests.web.conftest import Browser, Site
from tests.web.screen import Screen


def several_times(company: Company) -> None:
    """Results as they come in a week: well, slow, failed, well again."""
    company.basics(connections=("HQ",))
    for hours, fault in enumerate(
        ((), (), ("health:serviceConnectionPoint", "azureAdDeviceSyncCheckScpNotConfigured"))
    ):
        if fault:
            company.fault(*fault)
        due_now(company)
        company.settle()
        company.advance(hours=hours + 1)
    company.fault("health:joinAccount", "adJoinCheckIncorrectCredentials")
    due_now(company)
    company.settle()
    company.advance(minutes=7)


def test_each_check_tells_how_long_it_took(pages: Browser, company: Company) -> None:
    company.basics(connections=("HQ",))
    due_now(company)
    company.settle()
    company.sql("UPDATE connection_checks SET seconds = 0.2 WHERE check_id = 'adDomainJoin'")
    company.sql("UPDATE connection_checks SET seconds = 65 WHERE check_id = 'dns'")
    company.sql("UPDATE connection_checks SET seconds = 0.004 WHERE check_id = 'ipAddresses'")
    words = pages.get("connections/HQ").words
    for took in ("0.2 s", "1 min 5 s", "4 ms"):
        assert took in words


def test_what_a_failed_check_made_pointless_is_not_a_failure_of_its_own(pages: Browser, company: Company) -> None:
    several_times(company)
    page = pages.get("connections/HQ")
    assert page.words.count("Not tried") >= 5
    assert "not tried: “The join account can sign in” failed" in page.words
    assert "The join account can sign in: passed → failed" in page.words
    assert 'aria-label="Results, oldest first: Healthy' in page.text


def test_while_they_run_the_page_tells_which_are_still_to_come(pages: Browser, company: Company) -> None:
    company.basics(connections=("HQ",))
    due_now(company)
    company.settle()
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.fault("health:adDomainJoin", "adJoinCheckAccessDenied", delay=600)
    due_now(company)
    company.settle()
    words = pages.fragment("connections/HQ").words
    assert "The checks are running; until they have ended the last result counts" in words
    assert "Active Directory domain join Running" in words
    company.sql(
        "UPDATE connection_checks SET started_at = started_at - interval '1 hour' WHERE check_id = 'ipAddresses'"
    )
    assert "Free addresses in the subnet Waiting was passed" in pages.fragment("connections/HQ").words


def test_a_result_that_does_not_count_yet_is_told_as_such(pages: Browser, company: Company) -> None:
    company.basics(connections=("HQ",))
    limits = json.dumps({"connectionFailuresUntilUnhealthy": 2})
    company.sql("UPDATE tenants SET settings = CAST(:s AS jsonb)", s=limits)
    company.fault("health:dns", "dnsCheckFqdnNotFound")
    due_now(company)
    company.settle()
    words = pages.get("connections/HQ").words
    assert "The checks failed 1 of 2 times in a row. Until then it stays usable" in words
    assert "Nothing is provisioned through it" not in words


def test_the_trial_account_that_is_left_is_listed(pages: Browser, company: Company) -> None:
    company.basics(connections=("HQ",))
    company.sql(
        "INSERT INTO activedirectory.trial_accounts (connection_id, tenant_id, name, distinguished_name, state) "
        "SELECT id, tenant_id, 'CPC-HTH1', 'CN=CPC-HTH1,OU=CloudPCs,DC=corp', 'disabled' FROM connections"
    )
    words = pages.get("connections/HQ").words
    assert "A trial join left its computer account, disabled" in words
    assert "CN=CPC-HTH1,OU=CloudPCs,DC=corp" in words


@pytest.mark.parametrize("look", ["wide-light", "wide-dark", "phone-light", "phone-dark"])
def test_it_is_readable_on_every_screen(site: Site, company: Company, screen: Screen, look: str) -> None:
    several_times(company)
    size, colours = look.split("-")
    getattr(screen, size)()
    getattr(screen, colours)()
    screen.carry(site.url, site.cookies)
    screen.page.goto(site.at("connections/HQ"))
    screen.page.wait_for_selector("svg.outcomes")
    screen.shot(f"connection-health-{look}")
    assert screen.axe() == []
    wide: Any = screen.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


def test_progress_comes_by_itself(site: Site, company: Company, screen: Screen) -> None:
    company.basics(connections=("HQ",))
    screen.carry(site.url, site.cookies)
    screen.page.goto(site.at("connections/HQ"))
    due_now(company)
    screen.page.reload()
    screen.page.wait_for_selector("text=about to run")
    company.settle()
    screen.page.wait_for_selector("text=Healthy")
    screen.page.wait_for_selector("text=Passed")
    assert screen.layout_shift < 0.1
