"""Passwords of join accounts and one-time passwords stand nowhere: everything the product writes is searched for them.

A whole life with a real controller (checks, a hybrid Cloud PC, every refusal, all ways in) by unique passwords. Then:
logs at the most talkative level, the terminal, every table as text, HTTP answers, timelines, audit, exports, and what
other processes of the machine could see of ours meanwhile.
"""

import base64
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from deskwright.active_directory import accounts
from deskwright.cli.app import app
from deskwright.cli.private_memory import keep_private
from deskwright.document.export import export
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.operations import connections
from deskwright.operations.timeline import timeline
from deskwright.providers.activedirectory.records import AccountRecords
from tests.active_directory.joining import synchronise
from tests.company import PLAN, Company
from tests.graph.conftest import Graph, graph
from tests.office import Office
from tests.web.conftest import Browser, pages

__all__ = ["graph", "pages"]

WRONG = ("Wr0ng-One-kJ3hxA", "Wr0ng-Two-pQ8vzB", "Wr0ng-Three-tY5mcD")


def shapes(secret: str) -> dict[str, bytes]:
    """As it may stand somewhere: plain, as bytes in a dump, in base64, as directories want passwords."""
    plain, wide = secret.encode(), secret.encode("utf-16-le")
    found = {"plain": plain, "utf-16": wide, "hex": plain.hex().encode(), "utf-16 hex": wide.hex().encode()}
    # In base64, whatever stands before it: the part that is the same at each of three places.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        found[f"base64 {shift}"] = coded[4 if shift else 0 : -4]
    return found


class Searched:
    """Everything that was written, by where."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}

    def add(self, where: str, what: str | bytes) -> None:
        more = what if isinstance(what, bytes) else what.encode(errors="surrogateescape")
        self.parts[where] = self.parts.get(where, b"") + b"\n" + more

    def finds(self, secrets: list[str]) -> list[str]:
        return [
            f"{name} of secret {number} in {where}"
            for number, secret in enumerate(secrets)
            for name, shape in shapes(secret).items()
            for where, part in self.parts.items()
            if shape in part
        ]


@contextmanager
def watched(searched: Searched) -> Iterator[None]:
    """What every user of the machine may read of all processes, and this user of our children: as often as it goes."""
    ending = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not ending.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    if name == "environ" and _parent(process) != os.getpid():
                        continue
                    try:
                        seen.add((process / name).read_bytes())
                    except OSError:
                        continue
            time.sleep(0.002)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield
    finally:
        ending.set()
        watching.join()
        searched.add("other processes", b"\n".join(seen))
        assert any(b"adcli\0join" in one for one in seen), "a join was seen"


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def tables(company: Company) -> str:
    """Every table of every schema, as text."""
    with company.world.database.single.connect() as connection:
        names = connection.execute(
            text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ 'pg_catalog|information_schema'")
        ).all()
        return "\n".join(
            str(row[0])
            for schema, table in names
            for row in connection.execute(text(f'SELECT CAST(t AS text) FROM "{schema}"."{table}" t'))
        )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every one-time password, as it is made."""
    found: list[str] = []

    def noted(make: Any) -> Any:
        def making(*args: Any) -> str:
            found.append(make(*args))
            return found[-1]

        return making

    monkeypatch.setattr(accounts, "one_time_password", noted(accounts.one_time_password))
    monkeypatch.setattr(AccountRecords, "one_time_password", noted(AccountRecords.one_time_password))
    return found


def provision(office: Office, user: str) -> None:
    """Until it is ready or has failed, synchronising as the domain would."""
    company = office.company
    company.user(user)
    company.join(user, "Sales")
    for _ in range(60):
        company.advance(minutes=2)
        synchronise(company.world.database, company.tenant.id, office.real)
        if company.status(user) in (Status.PROVISIONED, Status.WARNINGS, Status.FAILED):
            return
        time.sleep(0.1)
    raise AssertionError(f"{company.status(user)}: {[(s.step, s.code, s.message) for s in company.steps(user)]}")


def test_no_secret_is_written_anywhere(
    office: Office,
    graph: Graph,
    pages: Browser,
    made: list[str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched, company = Searched(), office.company
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", company.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(company.world.settings.data_dir))
    of = company.world.database, company.tenant
    caplog.set_level(logging.DEBUG)
    logging.getLogger("ldap3").setLevel(logging.DEBUG)

    def run(*command: str, stdin: str = "") -> None:
        done = CliRunner().invoke(app, list(command), input=stdin)
        searched.add("commands", done.output + repr(done.exception or ""))

    def call(method: str, path: str, body: Any = None) -> None:
        answer = graph.call(method, graph.endpoint(path), body)
        searched.add("Graph", repr(answer.body) + repr(dict(answer.headers)))

    def look(path: str) -> None:
        page = pages.get(path)
        searched.add("pages", page.text + repr(dict(page.headers)))

    with watched(searched):
        office.check()
        company.plan()
        company.group()
        company.policy(connections=("HQ",))
        company.license_group(PLAN, "Sales")
        company.assign("Desktops", "Sales")
        provision(office, "adele")
        assert company.status("adele") != Status.FAILED, [(s.step, s.code, s.message) for s in company.steps("adele")]
        # Everything that refuses a password, by every way in.
        own = f"onPremisesConnections/{company.ids['HQ']}"
        call("POST", f"{own}/updateAdDomainPassword", {"adDomainPassword": WRONG[0]})
        call("PATCH", own, {"adDomainPassword": WRONG[0]})
        run("connection", "set-password", "HQ", "--password-stdin", stdin=f"{WRONG[1]}\n")
        refused = pages.post("connections/HQ/password", {"adDomainPassword": WRONG[1]})
        searched.add("pages", refused.text)
        with pytest.raises(Refused) as told:
            connections.set_password(*of, "test", "HQ", WRONG[1], secrets=company.world.secrets)
        searched.add("refusals", repr(told.value) + str(told.value.__dict__))
        # One that was right once: a run meets it, then the checks.
        office.password(WRONG[2])
        provision(office, "alex")
        office.check()
        call("POST", f"{own}/updateAdDomainPassword", {"adDomainPassword": office.joiner.password})
        company.settle()
        run("keys", "rotate")
        office.check()

    for path in ("", "/$count", f"/{company.ids['HQ']}?$select=healthCheckStatusDetails,adDomainPassword"):
        call("GET", f"onPremisesConnections{path}")
    call("GET", "auditEvents")
    call("GET", "cloudPCs")
    for path in ("connections", "connections/HQ", "connections/HQ/edit", "audit", "cloud-pcs", "leftovers", "sites"):
        look(path)
    for row in company.pcs():
        look(f"cloud-pcs/{row.id}")
        with company.world.database.single.connect() as connection:
            searched.add("timelines", repr(timeline(connection, company.tenant, row.id)))
        run("show", str(row.id))
    run("connection", "show", "HQ")
    run("connection", "show", "HQ", "--json")
    run("keys", "list", "--json")
    run("doctor")
    run("export")
    out = StringIO()
    export(*of, out)
    searched.add("export", out.getvalue())
    searched.add("tables", tables(company))
    searched.add("log", caplog.text + repr([record.__dict__ for record in caplog.records]))
    told_out, told_err = capfd.readouterr()
    searched.add("terminal", told_out + told_err)

    assert "adJoinCheckIncorrectCredentials" in searched.parts["tables"].decode(errors="replace")
    assert len(made) >= 6
    assert searched.finds([office.joiner.password, *WRONG, *made]) == []
    for part in ("log", "terminal", "tables", "Graph", "pages", "commands", "timelines", "export", "other processes"):
        assert part in searched.parts


def test_the_search_would_find_it() -> None:
    searched = Searched()
    searched.add("a", "…" + "secret-of-nobody" + "…")
    searched.add("b", "\\x" + "secret-of-nobody".encode("utf-16-le").hex())
    for shift in range(3):
        searched.add(f"c{shift}", base64.b64encode(b"x" * shift + b"secret-of-nobody and more"))
    found = searched.finds(["secret-of-nobody"])
    assert {line.rpartition(" ")[2] for line in found} == {"a", "b", "c0", "c1", "c2"}


def test_no_core_dump_and_no_look_from_outside(tmp_path: Path) -> None:
    """Of every command, so of the service and the worker too."""
    import ctypes
    import resource
    import subprocess
    import sys

    code = (
        "import ctypes, resource, sys; sys.argv = ['deskwright', '--version']\n"
        "from deskwright.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "(0, 0) 0"
    assert keep_private.__doc__
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 1, "this process itself is as it was"
    assert resource.RLIMIT_CORE is not None
