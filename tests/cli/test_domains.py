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
    assert "incorrectCredentials" in wrong.stderr
    assert "--no-verify" in wrong.stderr
    missing = run(*new, "--ca-file", str(tmp_path / "none.pem"), stdin="x\n", code=1)
    assert "cannot be read" in missing.stderr
    made = run(*new, *reach, stdin=f"{reader.password}\n")
    assert f"deskwright domain sync {d.name}" in made.stdout
    assert reader.password not in made.output
    # No worker lives: it is done here.
    synced = run("sync", d.name)
    assert "+1 people. Read everything (1 objects)" in synced.stdout
    assert "nothing had changed. Read what changed (0 objects)" in run("sync", d.name).stdout
    listed: Any = json.loads(run("list", "--json").stdout)
    assert (listed[0]["domainName"], listed[0]["people"], listed[0]["syncStatus"]) == (d.name, 1, "succeeded")
    shown = run("show", d.name).stdout
    assert "nothing had changed" in shown
    assert "BEGIN CERTIFICATE" not in shown
    tested: Any = json.loads(run("test", d.name, "--json").stdout)
    assert tested["counts"] == {"people": 1, "groups": 0, "computers": 0}
    assert "Changed domain" in run("set", d.name, "--interval", "5", "--sign-in", "ldap").stdout
    # What fails is told, and ends with 1.
    run("set", d.name, "--password", "--password-stdin", "--no-verify", stdin="wrong\n")
    failed = run("sync", d.name, code=1)
    assert "nothing was changed. incorrectCredentials" in failed.stdout
    assert "failed" in run("test", d.name, code=1).stdout
    assert "no such object" in run("sync", "fabrikam.com", code=1).stderr.lower()
    assert "1 people and 0 groups stay" in run("delete", d.name).stdout
    assert "No domains" in run("list").stdout


def test_r13_a_run_that_stopped_says_who_and_how_to_go_on(run: Run, company: Company) -> None:
    name = "corp.contoso.com"
    account = ["--username", f"reader@{name}", "--password-stdin", "--no-verify", "--no-sync"]
    run("create", name, *account, stdin="secret\n")
    losing = {"people": 27, "of": 30, "who": [f"p{n:02}@{name}" for n in range(27)], "ids": []}
    company.sql(
        "UPDATE domains SET sync_status = 'confirmationRequired', sync_losing = CAST(:losing AS jsonb)",
        losing=json.dumps(losing),
    )
    shown = run("show", name).stdout
    assert "27 of 30 people would lose their Cloud PC" in shown
    assert f"p09@{name}" in shown
    assert f"p10@{name}" not in shown
    assert f"deskwright domain sync {name} --confirm" in shown
    assert "in a moment" in run("sync", name, "--confirm", "--no-wait").stdout
    assert company.sql("SELECT sync_confirmed FROM domains") == [(True,)]
    company.group("Sales")
    assert f"Sales is {name}'s" in run("adopt", name, "sales").stdout
