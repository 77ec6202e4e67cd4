"""The commands about Cloud PCs: what they print, as text and as JSON, and their exit codes."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deskwright.cli.app import app
from deskwright.worker import drain
from tests.company import PLAN, Company

Run = Callable[..., Result]


@pytest.fixture
def run(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line on the company's installation."""
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    runner = CliRunner()

    def command(*words: str, code: int = 0) -> Result:
        result = runner.invoke(app, list(words))
        assert result.exit_code == code, result.output + result.stderr
        return result

    return command


def data(result: Result) -> Any:
    return json.loads(result.stdout)


def test_status_prints_a_table_and_json(run: Run, company: Company) -> None:
    assert "No Cloud PC yet" in run("status").stdout
    company.basics("adele", "alex")
    company.fault("C2", "imageNotSupportedFail", user="alex")
    company.settle()
    text = run("status").stdout
    assert "adele@contoso.com" in text
    assert "✓ provisioned" in text
    assert "imageNotSupportedFail" in text
    assert max(len(line) for line in text.splitlines()) < 240
    rows = data(run("status", "--json"))
    assert {"userPrincipalName", "servicePlanName", "provisioningPolicyName", "status", "statusDetail"} <= set(rows[0])
    assert rows[1]["statusDetail"]["code"] == "imageNotSupportedFail"
    assert rows[0]["since"].endswith("Z")
    assert len(data(run("status", "--status", "failed", "--json"))) == 1
    assert len(data(run("status", "--user", "adele@contoso.com", "--json"))) == 1


def test_wrong_usage_is_exit_code_two(run: Run) -> None:
    assert "is no status" in run("status", "--status", "nonsense", code=2).stderr
    run("status", "--watch", "--json", code=2)
    run("show", code=2)
    run("wait", "adele@contoso.com", "--for", "nonsense", code=2)


def test_what_is_refused_is_said_on_stderr_with_exit_code_one(run: Run, company: Company) -> None:
    company.basics("adele")
    company.settle()
    for words in (("show", "nobody"), ("explain", "nobody@contoso.com"), ("retry", "adele@contoso.com")):
        result = run(*words, code=1)
        assert result.stdout == ""
        assert "Refused" in result.stderr
    assert "needs status failed" in run("retry", "adele@contoso.com", code=1).stderr


def test_show_tells_the_failure_with_its_remedies_and_commands(run: Run, company: Company) -> None:
    company.basics("alex", connections=("HQ",))
    company.fault("C4", "joinDomainFailed", user="alex")
    company.settle()
    text = run("show", "alex@contoso.com").stdout
    for wanted in ("✗ failed", "joinDomainFailed", "Cause", "Remedy", "Attempt 3", "C3 Attach network", "goes in 3 h"):
        assert wanted in text
    assert "deskwright retry alex@contoso.com" in text
    assert "deskwright fault clear" in text
    told = data(run("show", "alex@contoso.com", "--json"))
    assert [len(r["attempts"]) for r in told["runs"]] == [3]
    # Named by its id, and by its device's name once it has one, it is the same.
    assert data(run("show", told["id"], "--json"))["id"] == told["id"]
    run("fault", "clear")
    assert data(run("retry", "alex@contoso.com", "--json"))["status"] == "provisioning"
    drain(company.world)
    device = data(run("show", told["id"], "--json"))["managedDeviceName"]
    text = run("show", device).stdout
    assert "Run 2" in text
    assert "✓ provisioned" in text


def test_explain_prints_reasons_and_what_happens_next(run: Run, company: Company) -> None:
    company.basics("adele", "alex")
    company.seats(PLAN, 1)
    company.settle()
    text = run("explain", "alex@contoso.com").stdout
    assert "Policy 'Desktops' reaches the user by group 'Sales'" in text
    assert "place 1 in the queue" in text
    told = data(run("explain", "alex@contoso.com", "--json"))
    assert told["verdicts"][0]["queuePosition"] == 1


def test_the_actions_from_reprovision_to_the_end_of_grace(run: Run, company: Company) -> None:
    company.basics("adele")
    company.fault("P6", "diskAllocationError", user="adele")
    company.settle().clear_faults()
    repaired = run("repair", "adele@contoso.com")
    assert "being repaired" in repaired.stdout
    assert "No worker is running" in repaired.stderr
    drain(company.world)
    assert data(run("status", "--json"))[0]["status"] == "provisioned"
    run("repair", "adele@contoso.com", code=1)

    run("reprovision", "adele@contoso.com", "--user-account-type", "king", code=1)
    assert data(run("reprovision", "adele@contoso.com", "--user-account-type", "administrator", "--json"))["runId"]
    run("cancel", "adele@contoso.com")
    drain(company.world)
    assert data(run("status", "--json"))[0]["statusDetail"]["code"] == "provisioningCancelled"
    run("retry", "adele@contoso.com")
    drain(company.world)

    company.leave("adele", "Sales")
    drain(company.world)
    assert "In grace since" in run("show", "adele@contoso.com").stdout
    assert data(run("keep", "adele@contoso.com", "--hours", "1000", "--json"))["gracePeriodEndDateTime"]
    assert data(run("end-grace", "adele@contoso.com", "--json"))["status"] == "deprovisioning"
    drain(company.world)
    assert data(run("status", "--json")) == []


def test_wait_returns_when_it_is_so(run: Run, company: Company) -> None:
    company.basics("adele")
    worker = threading.Timer(0.5, lambda: drain(company.world))
    worker.start()
    assert "✓ provisioned" in run("wait", "adele@contoso.com", "--timeout", "60").stdout
    worker.join()
    assert data(run("wait", "adele@contoso.com", "--for", "settled", "--json"))[0]["status"] == "provisioned"


def test_wait_gives_up_when_time_is_over_or_it_cannot_come(run: Run, company: Company) -> None:
    company.basics("adele", "alex")
    company.fault("C2", "imageNotSupportedFail", user="alex")
    assert "not provisioned after" in run("wait", "adele@contoso.com", "--timeout", "0.2", code=1).stderr
    drain(company.world)
    assert "will not be provisioned" in run("wait", "alex@contoso.com", code=1).stderr
    assert run("wait", "alex@contoso.com", "--for", "failed")
    run("wait", "nobody@contoso.com", code=1)


def test_credentials_show_a_password_once(run: Run, company: Company) -> None:
    company.site(directory={"identity": "local"})
    company.plan()
    company.group()
    company.policy()
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("lee")
    company.join("lee", "Sales")
    company.settle()
    first = run("credentials", "lee@contoso.com")
    assert "User name  lee" in first.stdout
    assert "Shown once" in first.stderr
    assert "was shown before" in run("credentials", "lee@contoso.com").stdout
    assert data(run("credentials", "lee@contoso.com", "--json"))["oneTimePassword"] is None


def test_ledger_and_inventory(run: Run, company: Company) -> None:
    company.basics("adele")
    company.fault("C5", "intuneEnrollFailed", user="adele", attempts=[1])
    company.settle()
    assert "in 3 h" in run("ledger", "--left").stdout
    assert {e["left"] for e in data(run("ledger", "--json"))} == {True, False}
    assert "agree" in run("inventory").stdout
    assert data(run("inventory", "--json")) == []


def test_several_tenants_want_to_be_named(run: Run, company: Company) -> None:
    run("tenant", "create", "fabrikam.com", "--no-sites")
    assert "--tenant" in run("status", code=1).stderr
    assert "No Cloud PC yet" in run("status", "--tenant", "fabrikam.com").stdout


def test_every_command_has_an_example_in_its_help(run: Run) -> None:
    for name in ("status", "show", "explain", "retry", "wait", "ledger", "serve", "worker", "init", "doctor", "demo"):
        assert f"deskwright {name}" in run(name, "--help").stdout


def test_version_init_db_and_doctor(run: Run, company: Company) -> None:
    from deskwright import __version__

    assert __version__ in run("--version").stdout
    made = data(run("init", "--tenant", "fabrikam.com", "--json"))
    assert made["tenants"] == ["contoso.com", "fabrikam.com"]
    assert data(run("init", "--tenant", "Fabrikam.com", "--json"))["tenants"] == made["tenants"]
    assert "deskwright serve" in run("init").stdout
    assert "Schema is at revision" in run("db", "upgrade").stdout
    found = data(run("doctor", "--json"))
    assert {"check", "status", "detail", "mend"} == set(found[0])
    assert "Python" in run("doctor").stdout
    key = company.world.settings.data_dir / "secret.key"
    key.chmod(0o644)
    assert "chmod 600" in run("doctor", code=1).stdout.replace("\n", " ")
    key.chmod(0o600)


def test_doctor_says_when_the_database_cannot_be_reached(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    found = {f["check"]: f for f in data(run("doctor", "--json", code=1))}
    assert found["Database"]["status"] == "fail"
    assert "DESKWRIGHT_DATABASE_URL" in found["Database"]["mend"]


def test_remote_actions_say_what_has_begun(run: Run, company: Company) -> None:
    company.basics("adele")
    company.settle()
    pc = company.pc("adele").device_name
    for words, said in (
        (("restart", pc), "being restarted"),
        (("power-off", pc), "being powered off"),
        (("power-on", pc), "being powered on"),
        (("snapshot", "create", pc), "a snapshot is being taken"),
        (("account-type", pc, "administrator"), "its account type is being changed"),
        (("troubleshoot", pc), "being looked at"),
        (("rename", pc, "Adele's desk"), "renamed"),
    ):
        assert said in run(*words).stdout
        company.settle()
    (taken,) = data(run("snapshot", "list", pc, "--json"))
    assert taken["snapshotType"] == "manual"
    assert data(run("restore", pc, taken["id"], "--json"))["status"] == "restoring"
    company.settle()
    assert "is the plan it has" in run("resize", pc, PLAN, code=1).stderr
    told = run("show", pc).stdout
    assert "snapshot, succeeded" in told
    assert "restore, succeeded" in told
    assert "Adele's desk" in told
