"""The commands plan, apply and export, as a person or a script calls them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deskwright.cli.app import app
from deskwright.store.database import Database
from tests.document.conftest import small


@pytest.fixture
def run(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(tmp_path))
    return CliRunner()


def test_r3_plan_apply_wait_and_export(run: CliRunner, tmp_path: Path) -> None:
    """R3"""
    file, kept = tmp_path / "t.yaml", tmp_path / "plan.json"
    file.write_text(small(people=2), encoding="utf-8")
    planned = run.invoke(app, ["plan", "-f", str(file), "-o", str(kept)])
    assert planned.exit_code == 0, planned.output
    assert "would be made" in planned.stdout
    applied = run.invoke(app, ["apply", "--plan", str(kept), "--wait", "--timeout", "60", "--json"])
    assert applied.exit_code == 0, applied.output
    assert json.loads(applied.stdout)["settled"] is True
    again = run.invoke(app, ["apply", "-f", str(file)])
    assert "nothing changes" in again.stdout
    exported = run.invoke(app, ["export"])
    same = run.invoke(app, ["plan", "-f", "-", "--json"], input=exported.stdout)
    assert json.loads(same.stdout)["counts"] == {}


def test_problems_are_lines_on_stderr_and_exit_code_1(run: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(small().replace("displayName: Desktops", "displayName: <Desktops>"), encoding="utf-8")
    refused = run.invoke(app, ["apply", "-f", str(file), "--json"])
    assert refused.exit_code == 1
    assert f"{file}:14: provisioningPolicies[0].displayName '<Desktops>': must not contain" in refused.stderr
    assert json.loads(refused.stdout)["problems"][0]["line"] == 14


@pytest.mark.parametrize("arguments", [["plan"], ["apply"], ["apply", "-f", "x", "--plan", "y"]])
def test_wrong_usage_is_exit_code_2(run: CliRunner, arguments: list[str]) -> None:
    assert run.invoke(app, arguments).exit_code == 2
