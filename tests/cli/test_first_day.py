"""R16 from the terminal: `init`, `user invite`, guests, and the webhook's secret; and a worker that tells people."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deskwright import worker
from deskwright.cli.app import app
from deskwright.identity import links
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import roles, tenants, users, webhooks
from deskwright.provision.context import World
from deskwright.serve import WorkerThread, announced
from deskwright.store.database import Database
from tests.cli.test_service import until
from tests.company import Company
from tests.receivers import mail_server, webhook

CHOSEN = "correct horse battery"


@pytest.fixture
def here(company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(company.world.settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    return company


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def said(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


def opens(database: Database, url: str) -> str | None:
    who = links.look(database, url.rpartition("/")[2])
    return who.person.user_principal_name if who else None


def test_init_makes_the_first_administrator_and_prints_a_link(here: Company) -> None:
    database = here.world.database
    made = told("init", "--tenant", "fabrikam.com")["invitation"]
    assert made["userPrincipalName"] == "admin@fabrikam.com"
    assert made["url"].startswith("http://127.0.0.1:8765/sign-in/link/")
    assert opens(database, made["url"]) == "admin@fabrikam.com"
    fabrikam = tenants.find(database, "fabrikam.com")
    (held,) = roles.list_(database, fabrikam)
    assert (held["userPrincipalName"], held["role"]) == ("admin@fabrikam.com", ADMINISTRATOR)
    printed = said("init", "--tenant", "fabrikam.com")
    (line,) = [line.strip() for line in printed.splitlines() if "/sign-in/link/" in line]
    assert opens(database, line) == "admin@fabrikam.com"
    assert "24 hours" in printed
    assert "deskwright serve" in printed
    links.use(database, line.rpartition("/")[2], CHOSEN)
    assert told("init", "--tenant", "fabrikam.com")["invitation"] is None
    assert "/sign-in/link/" not in said("init")
    named = told("init", "--tenant", "fabrikam.com", "--administrator", "kim@fabrikam.com")["invitation"]
    assert opens(database, named["url"]) == "kim@fabrikam.com"
    assert len(roles.list_(database, fabrikam)) == 2


def test_init_names_an_administrator_of_the_only_tenant(here: Company) -> None:
    made = told("init", "--administrator", "kim@contoso.com")["invitation"]
    assert opens(here.world.database, made["url"]) == "kim@contoso.com"
    result = run("init", "--administrator", "not a name")
    assert result.exit_code == 1
    assert "userPrincipalName" in result.stderr


def test_a_link_names_the_place_where_the_service_is(here: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    here.user("adele")
    with announced(here.world.settings.data_dir, "http://127.0.0.1:4711"):
        assert told("user", "invite", "adele@contoso.com")["url"].startswith("http://127.0.0.1:4711/sign-in/link/")
        monkeypatch.setenv("DESKWRIGHT_PUBLIC_ADDRESS", "https://desktops.contoso.com")
        assert told("user", "invite", "adele@contoso.com")["url"].startswith("https://desktops.contoso.com/sign-in/")


def test_inviting_prints_the_link_and_mails_it(here: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    here.user("adele")
    first = said("user", "invite", "adele@contoso.com").splitlines()[0]
    assert opens(here.world.database, first) == "adele@contoso.com"
    with mail_server() as inbox:
        monkeypatch.setenv("DESKWRIGHT_SMTP_URL", f"smtp://127.0.0.1:{inbox.port}")
        monkeypatch.setenv("DESKWRIGHT_MAIL_FROM", "desktops@contoso.com")
        assert "mailed" in said("user", "invite", "adele@contoso.com")
        assert inbox.recipients == ["adele@contoso.com"]
    assert run("user", "invite", "nobody@contoso.com").exit_code == 1


def test_guests_from_the_terminal(here: Company) -> None:
    database = here.world.database
    tenants.create(database, "test", "msp.example", default_simulated_sites=False)
    users.create(database, tenants.find(database, "msp.example"), "test", user_principal_name="kim@msp.example")
    tenant = ("--tenant", "contoso.com")
    assert run("role", "assign", "administrator", "kim@msp.example", *tenant).exit_code == 1
    item = told("role", "assign", "administrator", "kim@msp.example", "--guest", *tenant)
    assert item["tenant"] == "msp.example"
    assert [r["userPrincipalName"] for r in told("role", "list", *tenant)] == ["kim@msp.example"]
    assert "msp.example" in said("role", "list", *tenant)
    said("role", "unassign", "administrator", "kim@msp.example", "--guest", *tenant)
    assert told("role", "list", *tenant) == []


def test_the_webhooks_secret_is_shown_and_stands_nowhere_else(here: Company) -> None:
    printed = said("tenant", "webhook-secret").strip()
    assert printed == webhooks.secret(here.world.secrets, here.tenant.id)
    assert told("tenant", "webhook-secret")["secret"] == printed
    said("tenant", "set", "--setting", "webhookUrl=https://hooks.contoso.com/x")
    for words in (("export",), ("tenant", "show", "--json"), ("audit", "list", "--json")):
        shown = said(*words)
        assert "hooks.contoso.com" in shown
        assert printed.removeprefix("whsec_") not in shown
    refused = run("tenant", "set", "--setting", "webhookUrl=http://hooks.contoso.com/x")
    assert refused.exit_code == 1
    assert "settings.webhookUrl 'http://hooks.contoso.com/x': must be https://" in refused.stderr


def test_a_document_sets_the_webhook(here: Company, tmp_path: Path) -> None:
    document = tmp_path / "tenant.yaml"
    document.write_text(
        "tenant: contoso.com\nsettings: {webhookUrl: https://hooks.contoso.com/x, notifyByMail: false}\n"
    )
    said("apply", "-f", str(document))
    found = tenants.get_settings(here.world.database, here.tenant)
    assert (found["webhookUrl"], found["notifyByMail"]) == ("https://hooks.contoso.com/x", False)
    document.write_text("tenant: contoso.com\nsettings: {webhookUrl: ftp://x}\n")
    refused = run("apply", "-f", str(document))
    assert refused.exit_code == 1
    assert "webhookUrl" in refused.stderr


def test_a_worker_tells_people_while_it_works(here: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_TELL_SECONDS", 0.2)
    with webhook() as receiver:
        tenants.set_settings(
            here.world.database, here.tenant, "test", {"webhookUrl": receiver.url, "webhookStatusChanges": False}
        )
        world: World = here.world
        beside = WorkerThread(world)
        beside.start()
        try:
            until(lambda: here.sql("SELECT notified_until FROM tenants") != [(None,)])
            here.basics("adele")
            until(lambda: bool(receiver.got))
        finally:
            beside.stop()
    assert [json.loads(body)["data"]["userPrincipalName"] for _, body in receiver.got] == ["adele@contoso.com"]
    assert here.sql("SELECT state FROM notifications") == [("sent",)]
