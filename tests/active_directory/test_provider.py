"""Simulated machines that join a real domain: the contract's rules, and the one for accounts that are there already."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from deskwright.active_directory import accounts
from deskwright.active_directory.client import Account
from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.providers.activedirectory import host_join
from deskwright.providers.activedirectory.directory import ActiveDirectory
from deskwright.providers.activedirectory.records import AccountRecords
from deskwright.providers.contract import NotYet, ProviderError
from deskwright.providers.registry import providers_for, with_companions
from deskwright.store.database import Database
from tests.active_directory.joining import describe, joining, seen
from tests.conftest import Tenant
from tests.providers.conformance import ATTRIBUTES, DirectoryConformance, Outside
from tests.providers.test_simulator import inside
from tests.real_domain import RealDomain


@pytest.fixture(scope="module")
def unit(real_domain: RealDomain) -> str:
    """One for all: each test's computers have names and marks of their own."""
    return real_domain.unit()


@pytest.fixture(scope="module")
def joiner(real_domain: RealDomain, unit: str) -> Account:
    return real_domain.joiner(unit)


@pytest.fixture
def outside(database: Database, tenant: Tenant, real_domain: RealDomain, joiner: Account, unit: str) -> Outside:
    return joining(database, tenant, real_domain, joiner, unit)


class TestActiveDirectory(DirectoryConformance):
    @pytest.fixture
    def outside(self, outside: Outside) -> Outside:
        return outside


def join(outside: Outside, **changes: Any) -> str:
    """The computer's name, joined."""
    vm, call = outside.vm(**changes), outside.call("C4", **changes)
    name = outside.computer(call)
    ask = outside.providers.directory.join_domain
    outside.until_done(lambda: ask(call, name, vm, outside.domain))
    return name


def test_a_computer_is_in_its_unit_with_its_mark_and_its_own_password(
    outside: Outside, database: Database, tenant: Tenant, real_domain: RealDomain, unit: str
) -> None:
    name = join(outside)
    computer = seen(real_domain, name)
    assert computer is not None
    assert computer.distinguished_name == f"CN={name},{unit}"
    assert computer.mark == f"deskwright:{tenant.site_id}:{outside.call('C4').key(Kind.COMPUTER_ACCOUNT)}"
    shown = real_domain.controller.tool("computer", "show", name)
    assert f"dNSHostName: {name.lower()}.{real_domain.domain.name}" in shown
    assert "description: Cloud PC of adele@contoso.com" in shown
    assert inside(database, tenant, outside.vm())["computerName"] == name
    # The one-time password is used up: the machine has given itself another.
    with database.single.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM activedirectory.computer_accounts")).all()
    assert (row.turn, row.joined_at is not None, row.released_at) == (1, True, None)


def test_nothing_is_asked_of_the_domain_while_the_device_is_waited_for(
    outside: Outside, real_domain: RealDomain
) -> None:
    name, call = join(outside), outside.call("C4")
    real_domain.controller.kill()
    try:
        again = outside.providers.directory.join_domain(call, name, outside.vm(), outside.domain)
        with pytest.raises(NotYet) as waiting:
            outside.providers.directory.find_device(call, name, ATTRIBUTES)
    finally:
        real_domain.controller.start()
    assert again.details["computerName"] == name
    assert real_domain.domain.name in waiting.value.reason
    assert "never" in waiting.value.reason


def test_the_device_comes_by_the_synchronisation(outside: Outside) -> None:
    name, call, directory = join(outside), outside.call("C4"), outside.providers.directory
    outside.synchronise(name)
    made = directory.find_device(call, name, ATTRIBUTES)
    assert made.details["trustType"] == "ServerAd"
    assert made.details["model"] == ATTRIBUTES["model"]
    assert directory.find_device(call, name, ATTRIBUTES) == made


@pytest.mark.parametrize(("enabled", "soon"), [(True, True), (False, False)])
def test_the_synchronisation_is_asked_for_where_it_is_on(
    outside: Outside, database: Database, enabled: bool, soon: bool
) -> None:
    with database.begin() as connection:
        later = "UPDATE domains SET sync_enabled = :enabled, next_sync_at = tenant_now(tenant_id) + interval '25 min'"
        connection.execute(text(later), {"enabled": enabled})
    join(outside)
    with database.single.connect() as connection:
        due = connection.execute(text("SELECT next_sync_at <= tenant_now(tenant_id) FROM domains")).scalar_one()
    assert due is soon


@pytest.mark.parametrize("moment", ["before the account", "after the account", "after the join"])
def test_a_crash_at_any_moment_is_made_good(
    outside: Outside, real_domain: RealDomain, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    vm, call = outside.vm(), outside.call("C4")
    name, ask = outside.computer(call), outside.providers.directory.join_domain
    with monkeypatch.context() as patch:
        match moment:
            case "before the account":
                patch.setattr(accounts, "preset", killed)
            case "after the account":
                patch.setattr(AccountRecords, "preset", killed)
            case _:
                patch.setattr(AccountRecords, "joined", killed)
        with pytest.raises(Killed):
            outside.until_done(lambda: ask(call, name, vm, outside.domain))
    before = seen(real_domain, name)
    made = outside.until_done(lambda: ask(call, name, vm, outside.domain))
    after = seen(real_domain, name)
    assert after is not None
    assert made.external_id == str(after.id)
    assert before is None or before.id == after.id
    assert (before is None) == (moment == "before the account")


def test_an_account_of_somebody_else_is_refused_and_left_alone(
    outside: Outside, real_domain: RealDomain, unit: str
) -> None:
    vm, call = outside.vm(), outside.call("C4")
    name = outside.computer(call)
    with real_domain.as_administrator() as opened:
        theirs = accounts.preset(
            opened, name, unit, accounts.one_time_password(), mark="a colleague's", description="x"
        )
        theirs = accounts.disable(opened, theirs)
    with pytest.raises(ProviderError) as refused:
        outside.until_done(lambda: outside.providers.directory.join_domain(call, name, vm, outside.domain))
    assert refused.value.code == "domainJoin_ComputerObjectAlreadyExists"
    assert f"CN={name},{unit}" in refused.value.values["reason"]
    assert "not Deskwright's" in refused.value.values["reason"]
    assert seen(real_domain, name) == theirs
    outside.providers.directory.release(Kind.COMPUTER_ACCOUNT, call.key(Kind.COMPUTER_ACCOUNT))


def test_another_attempts_account_of_the_same_name_is_refused(outside: Outside) -> None:
    name, call, vm = join(outside), outside.call("C4", attempt=2), outside.vm(attempt=2)
    with pytest.raises(ProviderError, match="domainJoin_ComputerObjectAlreadyExists") as refused:
        outside.until_done(lambda: outside.providers.directory.join_domain(call, name, vm, outside.domain))
    assert "another Cloud PC left" in refused.value.values["reason"]


def test_clean_up_finds_an_account_that_was_moved_and_one_that_is_gone(
    outside: Outside, real_domain: RealDomain, joiner: Account
) -> None:
    name, key = join(outside), outside.call("C4").key(Kind.COMPUTER_ACCOUNT)
    elsewhere = real_domain.unit()
    real_domain.controller.tool("computer", "move", name, elsewhere)
    real_domain.may_join(joiner, elsewhere)
    assert key in {found.key for found in outside.providers.directory.inventory()}
    outside.providers.directory.release(Kind.COMPUTER_ACCOUNT, key)
    moved = seen(real_domain, name)
    assert moved is not None
    assert (moved.enabled, elsewhere in moved.distinguished_name) == (False, True)

    gone, key = join(outside, attempt=2), outside.call("C4", attempt=2).key(Kind.COMPUTER_ACCOUNT)
    real_domain.controller.tool("computer", "delete", gone)
    assert key not in {found.key for found in outside.providers.directory.inventory()}
    outside.providers.directory.release(Kind.COMPUTER_ACCOUNT, key)


def test_while_the_domain_is_away_clean_up_is_refused_and_comes_again(
    outside: Outside, database: Database, tenant: Tenant, real_domain: RealDomain
) -> None:
    name, key = join(outside), outside.call("C4").key(Kind.COMPUTER_ACCOUNT)
    directory, at = outside.providers.directory, real_domain.controller
    # Named, because a controller that is away would not say where it is: it is the domain's name server, too.
    describe(database, tenant.id, real_domain, controllers=(f"{at.host}={at.address}",))
    real_domain.controller.kill()
    try:
        with pytest.raises(ProviderError) as away:
            directory.release(Kind.COMPUTER_ACCOUNT, key)
        with pytest.raises(ProviderError):
            list(directory.inventory())
    finally:
        real_domain.controller.start()
    assert real_domain.controller.host in away.value.values["reason"]
    assert outside.domain.password not in str(away.value)
    directory.release(Kind.COMPUTER_ACCOUNT, key)
    computer = seen(real_domain, name)
    assert computer is not None
    assert not computer.enabled


def test_a_connection_that_never_joined_anything_hides_nothing(
    outside: Outside, database: Database, tenant: Tenant
) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE connections SET ad_domain_username = 'nobody@corp.contoso.test'"))
    assert list(outside.providers.directory.inventory()) == []


def test_without_adcli_it_is_named_with_the_mend(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_join, "_PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ProviderError) as failed:
        join(outside)
    assert failed.value.code == "joinDomainFailed"
    assert "apt-get install adcli" in failed.value.values["reason"]


def test_the_one_time_password_is_in_no_process_list(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrapper = tmp_path / "adcli"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\nenv >>{tmp_path}/said\nexec /usr/sbin/adcli "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    given: list[str] = []
    remembered = AccountRecords.one_time_password

    def note(self: Any, joining: Any) -> str:
        given.append(remembered(self, joining))
        return given[-1]

    monkeypatch.setattr(AccountRecords, "one_time_password", note)
    join(outside)
    said = (tmp_path / "said").read_text()
    assert "--stdin-password" in said
    assert given
    assert not any(secret in said for secret in (*given, outside.domain.password))
    assert not list(Path("/tmp").glob("deskwright-join-*"))


def test_a_missing_connection_point_where_it_is_required(
    outside: Outside, database: Database, tenant: Tenant, real_domain: RealDomain
) -> None:
    needing = {"kind": "activedirectory", "serviceConnectionPoint": "required"}
    site = replace(tenant.site, directory=needing, management={"kind": "builtin"})
    vm, call = outside.vm(), outside.call("C4")
    name, ask = outside.computer(call), ActiveDirectory(database, site, outside.providers.compute).join_domain
    with pytest.raises(ProviderError) as refused:
        outside.until_done(lambda: ask(call, name, vm, outside.domain))
    assert refused.value.code == "scpMisconfigured"
    assert "there is none" in refused.value.values["reason"]
    assert seen(real_domain, name) is None


@pytest.mark.parametrize(
    ("configuration", "field"),
    [
        ({"directory": {"kind": "activedirectory", "join": "helicopter"}}, "directory.join"),
        (
            {"directory": {"kind": "activedirectory", "serviceConnectionPoint": True}},
            "directory.serviceConnectionPoint",
        ),
        ({"directory": {"kind": "activedirectory", "domain": "x"}}, "directory.domain"),
        ({"compute": {"kind": "libvirt"}, "directory": {"kind": "activedirectory", "join": "host"}}, "directory.join"),
        ({"directory": {"kind": "activedirectory"}, "management": {"kind": "simulator"}}, "management.kind"),
    ],
)
def test_a_site_that_cannot_be(database: Database, tenant: Tenant, configuration: dict[str, Any], field: str) -> None:
    site = replace(tenant.site, **{"management": {"kind": "builtin"}, **configuration})
    with pytest.raises(Refused) as refused:
        providers_for(database, site)
    assert refused.value.field == field
    assert "site-a" in str(refused.value)


def test_what_goes_with_it() -> None:
    joined = {"kind": "activedirectory"}
    for compute in ("simulator", "libvirt"):
        made = with_companions({"kind": compute}, joined, None)
        assert (made["directory"], made["management"]) == (joined, {"kind": "builtin"})
