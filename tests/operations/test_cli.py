"""The object commands: the same operations from a terminal, for people and for scripts."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from deskwright.cli import objects
from deskwright.cli.in_tenant import duration
from deskwright.operations import tenants
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database
from tests.operations.conftest import PLAN

app = typer.Typer(rich_markup_mode="rich")
objects.register(app)
Run = Callable[..., Result]


@pytest.fixture
def run(database: Database, contoso: TenantRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(tmp_path))

    def invoke(*arguments: str, code: int = 0, stdin: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def read(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_policy_comes_to_be_from_the_terminal(run: Run) -> None:
    run("user", "create", "adele@contoso.com", "--display-name", "Adele Vance")
    run("user", "create", "alex@contoso.com")
    run("group", "create", "Sales", "--member", "adele@contoso.com")
    assert read(run("group", "add", "sales", "alex@contoso.com", "--json"))["added"] == ["alex@contoso.com"]
    run("service-plan", "create", PLAN, "--seats", "1")
    run("license", "assign", PLAN, "--group", "Sales")
    run("policy", "create", "Desktops", "--region-group", "europeUnion", "--gallery-image", "debian-12-desktop")
    policy = read(run("policy", "assign", "Desktops", "Sales", "--json"))
    assert [a["groupDisplayName"] for a in policy["assignments"]] == ["Sales"]
    assert "Sales" in run("policy", "list").stdout
    assert [u["userPrincipalName"] for u in read(run("user", "list", "--json"))] == [
        "adele@contoso.com",
        "alex@contoso.com",
    ]
    assert len(read(run("group", "members", "Sales", "--limit", "1", "--json"))) == 1
    assert read(run("license", "list", "--json"))[0]["consumedUnits"] == 2
    refused = run("policy", "delete", "Desktops", code=1)
    assert "assigned to Sales" in refused.stderr
    assert refused.stdout == ""
    assert "is assigned to no group" in run("policy", "set-assignments", "Desktops").stdout
    run("policy", "delete", "Desktops")
    assert [e["activity"] for e in read(run("audit", "list", "--limit", "2", "--json"))] == [
        "Delete provisioning policy",
        "Assign provisioning policy",
    ]
    run("audit", "list")


def test_e6_a_licence_beyond_the_seats_is_refused_with_the_numbers(run: Run) -> None:
    """E6"""
    run("user", "create", "adele@contoso.com")
    run("service-plan", "create", PLAN, "--seats", "0")
    stderr = run("license", "assign", PLAN, "--user", "adele@contoso.com", code=1).stderr
    assert "0 seats, 0 consumed, 1 more" in " ".join(stderr.split())
    run("license", "assign", PLAN, code=2)


def test_a_password_is_read_and_never_shown(run: Run) -> None:
    values = "--region site-a --network corp --subnet 10.20.0.0/24 --type hybridAzureADJoin --domain corp.contoso.com"
    account = ["--username", "joiner@corp.contoso.com"]
    made = run(
        "connection", "create", "HQ", *values.split(), *account, "--password-stdin", "--json", stdin="opensesame\n"
    )
    run("connection", "set-password", "HQ", stdin="changed-it\nchanged-it\n")
    run("connection", "check", "HQ")
    shown = run("connection", "show", "HQ", "--json")
    assert read(shown)["freeAddresses"] > 0
    assert read(shown)["healthCheckStatus"] == "pending"
    said = made.output + shown.output + run("connection", "show", "HQ").output + run("audit", "list", "--json").output
    assert "opensesame" not in said
    assert "changed-it" not in said
    run("connection", "set-password", "HQ", "changed-it", code=2)


def test_time_settings_and_faults(run: Run, database: Database, contoso: TenantRef) -> None:
    run("clock", "advance", "1d12h")
    assert tenants.show_clock(database, contoso)["clockOffsetInSeconds"] == 36 * 3600
    assert read(run("clock", "show", "--json"))["clockOffsetInSeconds"] == 36 * 3600
    run("clock", "advance", "soon", code=2)
    run("tenant", "set", "--setting", "attempts=2", "--speed", "60")
    assert read(run("tenant", "show", "--json"))["settings"]["attempts"] == 2
    run("tenant", "set", "--setting", "attempts=")
    assert tenants.get_settings(database, contoso)["attempts"] == 3
    run("tenant", "set", "--setting", "attempts", code=2)
    run("fault", "add", "C2", "delay", "--delay", "5m", "--attempt", "1")
    assert read(run("fault", "list", "--json"))[0]["delaySeconds"] == 300
    assert "C2 can fail with" in run("fault", "add", "C2", "joinDomainFailed", code=1).stderr.replace("\n", " ")
    run("fault", "clear")
    assert "No faults" in run("fault", "list").stdout


def test_several_tenants_want_a_name(run: Run) -> None:
    run("tenant", "create", "fabrikam.com", "--no-sites")
    assert "contoso.com" in run("tenant", "list").stdout
    assert "--tenant" in run("user", "list", code=1).stderr
    assert read(run("user", "list", "--tenant", "FABRIKAM.com", "--json")) == []
    assert "No sites" in run("site", "list", "-T", "fabrikam.com").stdout


def test_images_and_sites(run: Run) -> None:
    run("image", "create", "Finance", "--version", "1.0.0", "--region", "site-a", "--gallery", "debian-12-desktop")
    kinds = [i["imageType"] for i in read(run("image", "list", "--json"))]
    assert kinds[0] == "gallery"
    assert kinds[-1] == "custom"
    assert "Finance" in run("image", "list").stdout
    run("image", "delete", "Finance")
    run("site", "create", "site-b", "--region-group", "usEast", "--compute", '{"kind": "simulator"}')
    assert (
        "compute.kind" in run("site", "create", "c", "--region-group", "usEast", "--compute", "abacus", code=1).stderr
    )
    run("site", "create", "c", "--region-group", "usEast", "--compute", "{", code=2)


@pytest.mark.parametrize(
    ("given", "seconds"), [("7d", 604800), ("3h", 10800), ("90m", 5400), ("30s", 30), ("1d12h", 129600), ("1.5H", 5400)]
)
def test_durations(given: str, seconds: int) -> None:
    assert duration(given) == timedelta(seconds=seconds)


@pytest.mark.parametrize("given", ["", "7", "d", "12h1d", "-1d", "1w", "9" * 20 + "d"])
def test_no_durations(given: str) -> None:
    with pytest.raises(typer.BadParameter):
        duration(given)


def commands() -> list[tuple[str, Any]]:
    return [(f"{group} {c.name}", c) for group, sub in objects.GROUPS.items() for c in sub.registered_commands]


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_has_help_with_an_example_that_exists(run: Run, name: str, command: Any) -> None:
    last = (command.callback.__doc__ or "").strip().splitlines()[-1].strip()
    assert last.startswith(f"Example: deskwright {name}"), name
    text = run(*name.split(), "--help").stdout
    assert "Example:" in text
    assert "--json" in text


def test_roles_by_group_from_the_terminal(run: Run) -> None:
    run("user", "create", "adele@contoso.com")
    run("group", "create", "Desk admins", "--member", "adele@contoso.com")
    assert (
        "Everybody in Desk admins is Cloud PC Reader."
        in run("role", "assign", "reader", "--group", "desk ADMINS").stdout
    )
    listed = read(run("role", "list", "--json"))
    assert [(i.get("groupDisplayName"), i.get("userPrincipalName"), i.get("through")) for i in listed] == [
        ("Desk admins", None, None),
        (None, "adele@contoso.com", ["Desk admins"]),
    ]
    assert "Desk admins" in run("role", "list").stdout
    refused = run("role", "unassign", "reader", "adele@contoso.com", code=1)
    assert "They hold it through Desk admins" in refused.stderr
    for wrong in (("reader",), ("reader", "adele@contoso.com", "--group", "x"), ("reader", "--group", "x", "--guest")):
        run("role", "assign", *wrong, code=2)
    run("role", "unassign", "reader", "--group", "Desk admins")
    assert read(run("role", "list", "--json")) == []


def test_identity_providers_from_the_terminal(run: Run) -> None:
    at = ("--issuer", "http://127.0.0.1:9", "--client-id", "us")
    made = read(run("identity-provider", "create", "Work id", *at, "--secret-stdin", "--json", stdin="very secret\n"))
    assert made["clientSecretSet"] is True
    assert made["redirectUri"].endswith(f"/sign-in/back/{made['id']}")
    said = run("identity-provider", "create", "Other", *at).stdout
    assert "Register this redirect address at the issuer: http" in said
    assert "But: 127.0.0.1:9 cannot be reached" in said
    assert "very secret" not in run("identity-provider", "show", "Work id").stdout
    assert "cannot be reached" in run("identity-provider", "check", "Work id", code=1).stdout
    assert read(run("identity-provider", "set", "Work id", "--disabled", "--json"))["enabled"] is False
    assert len(read(run("identity-provider", "list", "--json"))) == 2
    run("identity-provider", "delete", "Work id")
    assert "Other" in run("identity-provider", "list").stdout
