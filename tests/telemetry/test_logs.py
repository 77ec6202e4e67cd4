"""A line for each event, with the ids of what was being worked on, and no secret in any of them."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from starlette.testclient import TestClient

from deskwright.operations import invitations, notifications, tenants
from deskwright.provision.run import carry
from deskwright.serve import application
from deskwright.settings import Settings
from deskwright.telemetry import correlation, logs
from tests.company import Company
from tests.receivers import webhook

Lines = Callable[[], list[dict[str, Any]]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("procrastinate", "alembic", "urllib3", "ldap3")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in quiet.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()


@pytest.fixture
def written(tmp_path: Path) -> Lines:
    """The lines so far, from debug on."""
    stream = io.StringIO()
    logs.configure(Settings(data_dir=tmp_path, log_level="debug", log_format="json"), stream)

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in found if not line["logger"].startswith("httpx")]  # the tests' own client

    return lines


def test_every_line_is_json_with_the_same_beginning(written: Lines) -> None:
    logging.getLogger("deskwright.some.module").warning("took %d jobs", 3)
    structlog.get_logger("deskwright.other").info("so it is", run="r1")
    first, second = written()
    assert list(first) == ["time", "level", "logger", "message", "pid"]
    assert (first["level"], first["logger"], first["message"]) == ("warning", "deskwright.some.module", "took 3 jobs")
    assert first["time"].endswith("Z")
    assert first["pid"] == os.getpid()
    assert (second["logger"], second["message"], second["run"]) == ("deskwright.other", "so it is", "r1")


@pytest.mark.parametrize(
    ("chosen", "terminal", "as_json"),
    [(None, True, False), (None, False, True), ("json", True, True), ("text", False, False)],
)
def test_the_form_follows_the_setting_then_the_terminal(
    chosen: Any, terminal: bool, as_json: bool, tmp_path: Path
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    logs.configure(Settings(data_dir=tmp_path, log_format=chosen), stream)
    with correlation.bound(run="r1"):
        logging.getLogger("deskwright").error("it failed")
        logging.getLogger("deskwright").info("not at this level")
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("{") is as_json
    assert "it failed" in line
    assert "r1" in line


def test_an_error_is_one_line_without_local_variables(written: Lines) -> None:
    hidden = "hunter2-is-a-local-variable"
    try:
        raise ValueError(f"too long: {len(hidden)}")
    except ValueError:
        logging.getLogger("deskwright").exception("it broke")
    (line,) = written()
    assert "ValueError: too long: 27" in line["exception"]
    assert hidden not in json.dumps(line)


def test_a_run_has_its_ids_on_every_line(company: Company, written: Lines) -> None:
    company.basics("adele")
    company.fault("C4", "joinDomainFailed", attempts=[1])
    company.settle().advance(minutes=2)
    ((run, cloud_pc),) = company.sql("SELECT id, cloud_pc_id FROM runs")
    ours = [line for line in written() if line["logger"] == "deskwright.runs"]
    assert [line["message"] for line in ours] == ["a provider failed: joinDomainFailed", "run provision succeeded"]
    for line, attempt, step in zip(ours, (1, 2), ("C4", "A1"), strict=True):
        assert (line["run"], line["cloud_pc"], line["tenant"]) == (str(run), str(cloud_pc), str(company.tenant.id))
        assert (line["attempt"], line["step"]) == (attempt, step)
    assert "adele" not in json.dumps(ours), "ids, and names of nobody"


def test_what_is_bound_ends_with_its_block() -> None:
    with correlation.bound(job="a"):
        with correlation.bound(run="r"):
            correlation.note(step="C1")
            assert correlation.current() == {"job": "a", "run": "r", "step": "C1"}
        assert correlation.current() == {"job": "a"}
    correlation.note(step="C1")
    assert correlation.current() == {}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer eyJhbGciOi.J9.x", "eyJhbGciOi"),
        ("refused: password=hunter2hunter2", "hunter2"),
        ('{"client_secret": "s3cr3ts3cr3t"}', "s3cr3t"),
        ("postgresql://desk:hunter2@db/x", "hunter2"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8I", "MfKQ"),
        ("access_token=abcdefgh12345678&x=1", "abcdefgh"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, hidden: str) -> None:
    assert hidden not in logs.masked(text)
    assert "***" in logs.masked(text)


@pytest.mark.parametrize("text", ["run provision succeeded", "took over 3 jobs", "GET /{tenant}/oauth2/v2.0/token 200"])
def test_the_rest_stays(text: str) -> None:
    assert logs.masked(text) == text


def test_no_secret_is_written_by_all_that_happens(company: Company, written: Lines) -> None:
    """A life with everything that has a secret, at the most talkative level."""
    settings = company.world.settings.model_copy(
        update={"smtp_url": SecretStr("smtp://u:mail-hunter2@127.0.0.1:9"), "metrics_token": SecretStr("m" * 20)}
    )
    here = replace(company, world=replace(company.world, settings=settings))
    with webhook() as receiver:
        tenants.set_settings(here.world.database, here.tenant, "test", {"webhookUrl": receiver.url + "&key=hunter2"})
        here.basics("adele", connections=("HQ",))
        here.settle()
        notifications.tell(here.world)
    invited = invitations.first_administrator(
        here.world.database, here.tenant, "test", None, base="http://localhost", settings=settings
    )
    assert invited is not None
    link = str(invited["url"])
    with TestClient(application(here.world), base_url="http://localhost") as client:
        client.get(link)
        client.get("/metrics", headers={"Authorization": f"Bearer {'m' * 20}"})
        client.get("/v1.0/users?$filter=secret-in-a-query", headers={"Authorization": "Bearer not-a-token-at-all"})
        client.post("/contoso.com/oauth2/v2.0/token", data={"client_secret": "form-hunter2", "grant_type": "x"})
    secrets = {
        "the connection's password": "joiner's password",
        "the mail server's": "mail-hunter2",
        "the metrics token": "m" * 20,
        "the webhook's": notifications.webhook_secret(here.world.secrets, here.tenant),
        "the link": link.rpartition("/")[2].rpartition("=")[2],
        "a token": "not-a-token-at-all",
        "a query": "secret-in-a-query",
        "a form": "form-hunter2",
        "an address": "key=hunter2",
    }
    (kept,) = here.sql("SELECT one_time_password FROM sign_in_details") or [(None,)]
    if kept[0] is not None:
        secrets["the one-time password"] = here.world.secrets.decrypt(kept[0])
    told = json.dumps(written(), ensure_ascii=False)
    assert len(written()) > 5
    assert [name for name, secret in secrets.items() if secret in told] == []


def test_requests_are_logged_by_their_template(company: Company, written: Lines) -> None:
    with TestClient(application(company.world), base_url="http://localhost") as client:
        client.get(
            "/admin/contoso.com/health?findings=now", headers={"client-request-id": "mine"}, follow_redirects=False
        )
    (line,) = [line for line in written() if line["logger"] == "deskwright.access"]
    assert (line["method"], line["route"]) == ("GET", "/admin/{tenant}/health")
    assert line["status"] == 303
    assert line["request_id"]
    assert line["client_request_id"] == "mine"
    assert line["tenant_name"] == "contoso.com"
    assert "findings" not in json.dumps(line)


def test_serve_and_worker_write_json_when_nobody_watches(tmp_path: Path) -> None:
    script = (
        "from deskwright.cli.service_commands import _log, _settings; import logging; _log(_settings()); "
        "logging.getLogger('uvicorn.error').warning('from uvicorn'); logging.getLogger('any').warning('from any')"
    )
    environment = {**os.environ, "DESKWRIGHT_DATA_DIR": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert [json.loads(line)["message"] for line in told.stderr.splitlines()] == ["from uvicorn", "from any"]


def test_a_run_that_is_nobodys_says_nothing(company: Company, written: Lines) -> None:
    company.basics("adele")
    company.settle()
    before = len(written())
    ((run,),) = company.sql("SELECT id FROM runs")
    carry(company.world, run)
    assert len(written()) == before
