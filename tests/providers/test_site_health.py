"""A site's health checks are put together of its providers' parts: each check has one that looks, of any kind."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from deskwright.checks.table import CHECKS, Looker, checks_of
from deskwright.domain.rules import Refused
from deskwright.providers.contract import Endpoint, HealthProbe
from deskwright.providers.health import reached
from deskwright.providers.registry import HEALTH, KINDS, Site, providers_for
from deskwright.store.database import Database
from tests.conftest import Tenant

LOOKERS: tuple[Looker, ...] = ("compute", "directory", "management")


def combinations() -> Iterator[tuple[str, ...]]:
    yield from itertools.product(*(KINDS[provider] for provider in LOOKERS))


@pytest.mark.parametrize("kinds", [*combinations()], ids="-".join)
def test_every_check_has_exactly_one_answerer(database: Database, tenant: Tenant, kinds: tuple[str, ...]) -> None:
    site = Site(tenant.id, tenant.site_id, "site-a", *({"kind": kind} for kind in kinds))
    try:
        health = providers_for(database, site).health
    except Refused:
        pytest.skip("these do not go together")
    parts: list[HealthProbe] = [HEALTH[p][kind](database, site) for p, kind in zip(LOOKERS, kinds, strict=True)]
    for looker, part in zip(LOOKERS, parts, strict=True):
        assert part.checks == checks_of(looker)
    assert health.checks == set(CHECKS)


def test_every_kind_has_its_part() -> None:
    assert {provider: set(kinds) for provider, kinds in HEALTH.items()} == {p: set(KINDS[p]) for p in LOOKERS}


def test_endpoints_that_answer_and_those_that_do_not() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening, closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        there = Endpoint("the portal", "127.0.0.1", listening.getsockname()[1], "a")
        gone = Endpoint("LDAP", "127.0.0.1", bound.getsockname()[1], "b")
        optional = Endpoint("Kerberos", "127.0.0.1", bound.getsockname()[1], "c", required=False)
        status, code, detail = reached([there], "here")
        assert (status, code) == ("passed", None)
        assert detail == f"reached from here: the portal (127.0.0.1:{there.port})"
        assert reached([there, optional], "here", "127.0.0.1")[:2] == ("warning", "c")
        status, code, detail = reached([there, optional, gone], "here")
        assert (status, code) == ("failed", "b")
        assert detail.startswith(f"not reached from here: LDAP (127.0.0.1:{gone.port}): ")
        assert "refused" in detail
    assert reached([], "here")[0] == "passed"
