"""Streams and waits end with the right to them."""

import threading
from dataclasses import replace

import httpx2
import pytest

from deskwright.api import asked, watch
from deskwright.identity import tokens
from deskwright.identity.apps import COMMAND_LINE, built_in
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import READER
from deskwright.identity.tokens import Person
from deskwright.operations import groups, role_groups, roles
from deskwright.provision.context import World
from tests.api.conftest import Served
from tests.api.test_events import listen
from tests.company import Company


@pytest.fixture
def reader(served: Served, company: Company, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Somebody who may read, by a token of their own."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr("deskwright.api.events.BEAT_SECONDS", 0.05)
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", 0.0)
    made = company.user("rita")
    roles.assign(company.world.database, company.tenant, "test", READER, "rita@contoso.com")
    app = built_in(COMMAND_LINE)
    assert app is not None
    token = tokens.issue(
        company.world.database,
        company.world.secrets,
        base=served.url,
        tenant=company.tenant.id,
        app=app,
        permissions=["CloudPC.Read.All"],
        user=Person(made, "rita@contoso.com", "rita"),
    )
    return replace(served, token=token)


def test_a_stream_ends_when_the_role_is_taken_away(reader: Served, company: Company) -> None:
    events = listen(reader, "/cloudPCs/events")
    assert next(events).name == "begin"
    roles.unassign(company.world.database, company.tenant, "test", READER, "rita@contoso.com")
    assert list(events) == []  # ends by itself


def test_a_stream_ends_when_the_person_leaves_the_group_that_has_the_role(reader: Served, company: Company) -> None:
    change = company.world.database, company.tenant, "test"
    company.group("Readers")
    company.join("rita", "Readers")
    role_groups.assign(*change, READER, "Readers")
    roles.unassign(*change, READER, "rita@contoso.com")
    events = listen(reader, "/cloudPCs/events")
    assert next(events).name == "begin"
    groups.remove_members(*change, "Readers", ["rita@contoso.com"])
    assert list(events) == []


def test_a_wait_ends_when_the_role_is_taken_away(reader: Served, company: Company) -> None:
    company.basics("adele")
    company.settle()
    gone = company.world.database, company.tenant, "test", READER, "rita@contoso.com"
    threading.Timer(0.5, roles.unassign, gone).start()
    path = f"{reader.url}/deskwright/cloudPCs/adele@contoso.com?wait=20s&for=inGracePeriod"
    answer = httpx2.get(path, headers={"authorization": f"Bearer {reader.token}"}, timeout=30)
    assert answer.status_code == 403


def test_where_an_address_is_set_tokens_must_name_it_as_on_graph(
    company: Company, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases = []

    def spy(*_: object, base: str | None = None) -> object:
        bases.append(base)
        return caller

    address = "https://desks.contoso.com"
    settings = company.world.settings.model_copy(update={"public_address": address})
    monkeypatch.setattr(asked, "authenticate", spy)
    there = World(company.world.database, company.world.secrets, settings)
    asked._allowed(there, "Bearer x", ("CloudPC.Read.All",), False)
    assert bases == [address]


def test_one_listener_too_many_is_told_before_the_stream_begins(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LISTENERS", 0)
    headers = {"authorization": f"Bearer {served.token}"}
    answer = httpx2.get(f"{served.url}/deskwright/cloudPCs/events", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "TooManyRequests")
    assert int(answer.headers["retry-after"]) > 0
