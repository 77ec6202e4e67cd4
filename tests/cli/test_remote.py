"""The command line against a service elsewhere: the same commands, the same answers (SPEC section 10)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deskwright.cli.app import app
from tests.api.conftest import Served, served
from tests.api.test_tenant import CONNECTION, DOCUMENT
from tests.company import Company

Run = Callable[..., Result]
__all__ = ["served"]


@pytest.fixture
def run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line that knows the service's address and a token, and no data directory of its own."""
    monkeypatch.setenv("DESKWRIGHT_URL", served.url)
    monkeypatch.setenv("DESKWRIGHT_TOKEN", served.token)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(tmp_path / "nothing here"))
    monkeypatch.setenv("COLUMNS", "120")
    runner = CliRunner()

    def command(*words: str, code: int = 0) -> Result:
        result = runner.invoke(app, list(words))
        assert result.exit_code == code, result.output + result.stderr
        assert not (tmp_path / "nothing here").exists()
        return result

    return command


def data(result: Result) -> Any:
    return json.loads(result.stdout)


def test_cloud_pcs(run: Run, company: Company) -> None:
    company.basics("adele", "alex")
    company.fault("C2", "imageNotSupportedFail", user="alex")
    company.settle()
    assert "✓ provisioned" in run("status").stdout
    assert [row["status"] for row in data(run("status", "--json"))] == ["provisioned", "failed"]
    assert "imageNotSupportedFail" in run("show", "alex@contoso.com").stdout
    assert "Desktops" in run("explain", "adele@contoso.com").stdout
    run("fault", "clear")
    assert "provisioning" in run("retry", "alex@contoso.com").stdout
    company.settle()
    run("wait", "alex@contoso.com", "--timeout", "10")
    assert data(run("repair", "adele@contoso.com", "--step", "P1", "--json"))["steps"] == ["P1"]
    company.settle()
    run("reprovision", "adele@contoso.com", "--user-account-type", "administrator")
    run("cancel", "adele@contoso.com")
    company.settle()
    company.leave("alex", "Sales")
    company.settle()
    run("keep", "alex@contoso.com", "--hours", "400")
    assert "deprovisioning" in run("end-grace", "alex@contoso.com").stdout


def test_refusals_are_the_services_own_words(run: Run, company: Company) -> None:
    company.basics("adele")
    company.settle()
    assert "needs status failed; it is provisioned" in run("retry", "adele@contoso.com", code=1).stderr
    assert "nobody" in run("show", "nobody", code=1).stderr
    assert "the token is for contoso.com" in run("status", "--tenant", "fabrikam.com", code=1).stderr
    run("status", "--tenant", "contoso.com")


def test_documents(run: Run, company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, saved = tmp_path / "contoso.yaml", tmp_path / "plan.json"
    file.write_text(DOCUMENT + CONNECTION)
    monkeypatch.setenv("HQ_PASSWORD", "join me")
    assert "would be changed" in run("plan", "-f", str(file), "-o", str(saved)).stdout
    assert "has been changed" in run("apply", "--plan", str(saved)).stdout
    ((kept,),) = company.sql("SELECT ad_domain_password FROM connections")
    assert company.world.secrets.decrypt(bytes(kept)) == "join me"
    company.settle()
    assert data(run("apply", "-f", str(file), "--wait", "--json"))["settled"] is True
    assert "nothing changes" in run("plan", "-f", str(file)).stdout
    assert "displayName: Desktops" in run("export").stdout
    file.write_text(DOCUMENT.replace("members: [adele@contoso.com]", "members: [bob@contoso.com]"))
    refused = run("plan", "-f", str(file), code=1).stderr
    assert f"{file}:5" in refused
    assert "bob@contoso.com" in refused
    assert "1 problem, nothing was changed" in refused


def test_the_clock_faults_and_the_doctor(run: Run, company: Company) -> None:
    company.basics("adele")
    company.settle()
    before = data(run("clock", "show", "--json"))["now"]
    assert data(run("clock", "advance", "7d", "--json"))["now"] > before
    added = data(run("fault", "add", "C3", "delay", "--delay", "30s", "--json"))
    assert data(run("fault", "list", "--json")) == [added]
    assert data(run("fault", "clear", str(added["id"]), "--json")) == [added]
    assert "ledger and providers agree" in run("doctor").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--watch"),
        ("tenant", "list"),
        ("policy", "list"),
        ("credentials", "adele@contoso.com"),
        ("serve",),
        ("init",),
        ("db", "upgrade"),
    ],
    ids=" ".join,
)
def test_what_works_only_on_the_machine_itself_says_so(run: Run, words: tuple[str, ...]) -> None:
    assert "only on the machine with the data directory" in " ".join(run(*words, code=2).stderr.split())


def test_a_service_that_does_not_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWRIGHT_TOKEN", "nonsense")
    assert "token" in run("status", code=1).stderr
    monkeypatch.setenv("DESKWRIGHT_URL", "http://127.0.0.1:1")
    assert "cannot be reached" in run("status", code=1).stderr
    monkeypatch.setenv("DESKWRIGHT_URL", "file:///etc/passwd")
    assert "must begin with" in run("status", code=1).stderr
