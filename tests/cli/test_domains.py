"""`deskwright domain`, against a real controller."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deskwright.cli.app import app
from tests.company import Company
from tests.real_domain import RealDomain

Run = Callable[..., Result]


@pytest.fixture
def run(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line on the company's installation."""
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    runner = CliRunner()

    def command(*words: str, code: int = 0, stdin: str | None = None) -> Result:
        result = runner.invoke(app, ["domain", *words], input=stdin)
        assert result.exit_code == code, result.output + result.stderr
        return result

    return command


def said(result: Result) -> str:
    """What was printed, wherever lines were broken."""
    return " ".join((result.stdout + result.stderr).split())


def test_a_domain_from_the_first_run_to_the_last(
    run: Run, company: Company, real_domain: RealDomain, tmp_path: Path
) -> None:
    d, unit = real_domain.domain, real_domain.unit()
    real_domain.user("cliann", unit=unit)
    reader = real_domain.user()
    authority = tmp_path / "ca.pem"
    authority.write_text(d.ca_certificate)
    new: list[str] = ["create", d.name, "--username", reader.name, "--password-stdin", "--search-base", unit]
    reach = ["--name-server", d.name_servers[0], "--ca-file", str(authority)]
    wrong = run(*new, *reach, stdin="wrong\n", code=1)
    assert "incorrectCredentials" in said(wrong)
    assert "--no-verify" in said(wrong)
    missing = run(*new, "--ca-file", str(tmp_path / "none.pem"), stdin="x\n", code=1)
    assert "cannot be read" in said(missing)
    made = run(*new, *reach, stdin=f"{reader.password}\n")
    assert f"deskwright domain sync {d.name}" in said(made)
    assert reader.password not in made.output
    # No worker lives: it is done here.
    synced = run("sync", d.name)
    assert "+1 people. Read everything (1 objects)" in said(synced)
    assert "nothing had changed. Read what changed (0 objects)" in said(run("sync", d.name))
    listed: Any = json.loads(run("list", "--json").stdout)
    assert (listed[0]["domainName"], listed[0]["people"], listed[0]["syncStatus"]) == (d.name, 1, "succeeded")
    shown = said(run("show", d.name))
    assert "succeeded" in shown
    assert "BEGIN CERTIFICATE" not in shown
    tested: Any = json.loads(run("test", d.name, "--json").stdout)
    assert tested["counts"] == {"people": 1, "groups": 0, "computers": 0}
    assert "Changed domain" in said(run("set", d.name, "--interval", "5", "--sign-in", "ldap"))
    # What fails is told, and ends with 1.
    run("set", d.name, "--password", "--password-stdin", "--no-verify", stdin="wrong\n")
    failed = run("sync", d.name, code=1)
    assert "nothing was changed. incorrectCredentials" in said(failed)
    assert "failed" in said(run("test", d.name, code=1))
    assert "no such object" in said(run("sync", "fabrikam.com", code=1)).lower()
    assert "1 people and 0 groups stay" in said(run("delete", d.name))
    assert "No domains" in said(run("list"))


def test_r13_a_run_that_stopped_says_who_and_how_to_go_on(run: Run, company: Company) -> None:
    name = "corp.contoso.com"
    account = ["--username", f"reader@{name}", "--password-stdin", "--no-verify", "--no-sync"]
    run("create", name, *account, stdin="secret\n")
    losing = {"people": 27, "of": 30, "who": [f"p{n:02}@{name}" for n in range(27)], "ids": []}
    company.sql(
        "UPDATE domains SET sync_status = 'confirmationRequired', sync_losing = CAST(:losing AS jsonb)",
        losing=json.dumps(losing),
    )
    shown = said(run("show", name))
    assert "27 of 30 people would lose their Cloud PC" in shown
    assert f"p09@{name}" in shown
    assert f"p10@{name}" not in shown
    assert f"deskwright domain sync {name} --confirm" in shown
    assert "in a moment" in said(run("sync", name, "--confirm", "--no-wait"))
    assert company.sql("SELECT sync_confirmed FROM domains") == [(True,)]
    company.group("Sales")
    assert f"Sales is {name}'s" in said(run("adopt", name, "sales"))
