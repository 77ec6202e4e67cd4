"""Computer accounts at a real controller: made, found, taken up again, disabled, and every way of being refused."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from uuid import UUID, uuid4

import pytest
from ldap3.core.exceptions import LDAPUnwillingToPerformResult

from deskwright.active_directory import accounts
from deskwright.active_directory.accounts import Computer
from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.problems import DirectoryProblem, Reason, operation_problem
from tests.real_domain import RealDomain

_numbers = count(1)


def made(opened: Opened, unit: str, name: str = "", mark: str = "") -> Computer:
    name = name or f"ACC-{next(_numbers)}"
    password = accounts.one_time_password()
    return accounts.preset(opened, name, unit, password, mark=mark or f"deskwright:test:{name}", description="a test's")


def why(opened: Opened, unit: str, name: str = "") -> DirectoryProblem:
    with pytest.raises(DirectoryProblem) as refused:
        made(opened, accounts.unit_of(opened, unit), name)
    return refused.value


def test_an_account_is_made_found_disabled_and_enabled(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    with signed_in(real_domain.domain, real_domain.joiner(unit)) as opened:
        first = made(opened, accounts.unit_of(opened, unit))
        assert first.distinguished_name == f"CN={first.name},{unit}"
        assert first.enabled
        assert accounts.find(opened, first.name.lower()) == accounts.by_id(opened, first.id) == first
        assert accounts.find(opened, "ACC-*") is None
        assert accounts.by_id(opened, uuid4()) is None
        disabled = accounts.disable(opened, accounts.disable(opened, first))
        assert accounts.by_id(opened, first.id) == disabled
        assert not disabled.enabled
        assert accounts.renew(opened, disabled, accounts.one_time_password()).enabled
        assert accounts.enable(opened, accounts.disable(opened, first)) == accounts.find(opened, first.name) == first


def test_those_with_a_mark_are_listed_by_pages(real_domain: RealDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_PAGE", 2)
    unit = real_domain.unit()
    with signed_in(real_domain.domain, real_domain.joiner(unit)) as opened:
        ours = {made(opened, unit, mark=f"deskwright:one(*)\\:{n}").id for n in range(5)}
        made(opened, unit, mark="deskwright:other:1")
        assert {found.id for found in accounts.marked(opened, unit, "deskwright:one(*)\\:")} == ours
        assert list(accounts.marked(opened, f"OU=Missing,{unit}", "deskwright:")) == []


def test_a_deleted_account_is_gone_and_may_be_deleted_again(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    with signed_in(real_domain.domain, real_domain.joiner(unit)) as opened:
        trial = made(opened, unit)
        for _ in range(2):
            accounts.delete(opened, trial)
        assert accounts.find(opened, trial.name) is None


def test_without_a_unit_it_is_where_the_domain_puts_computers(real_domain: RealDomain) -> None:
    with real_domain.as_administrator() as opened:
        assert accounts.unit_of(opened, "") == f"CN=Computers,{real_domain.domain.distinguished_name}"


def test_a_unit_that_is_missing_malformed_or_elsewhere(real_domain: RealDomain) -> None:
    here = real_domain.domain.distinguished_name
    with real_domain.as_administrator() as opened:
        for unit, reason in (
            (f"OU=Missing,{here}", Reason.UNIT_NOT_FOUND),
            ("OU=CloudPCs,DC=other,DC=test", Reason.UNIT_NOT_FOUND),
            (f"OU=Cloud;PCs,{here}", Reason.UNIT_MALFORMED),
            (f"{real_domain.domain.name}/CloudPCs", Reason.UNIT_MALFORMED),
            ("OU=CloudPCs", Reason.UNIT_MALFORMED),
        ):
            problem = why(opened, unit)
            assert (problem.reason, unit in problem.detail) == (reason, True)


def test_without_the_right_nothing_is_made_changed_or_deleted(real_domain: RealDomain) -> None:
    unit, nobody = real_domain.unit(), real_domain.user()
    with real_domain.as_administrator() as opened:
        existing = made(opened, unit)
    with signed_in(real_domain.domain, nobody) as opened:
        problem = why(opened, unit, "ACC-DENIED")
        assert problem.reason is Reason.ACCESS_DENIED
        for value in (nobody.name, f"CN=ACC-DENIED,{unit}", real_domain.controller.host):
            assert value in problem.detail
        for change in (
            lambda: accounts.disable(opened, existing),
            lambda: accounts.renew(opened, existing, accounts.one_time_password()),
            lambda: accounts.delete(opened, existing),
        ):
            with pytest.raises(DirectoryProblem) as refused:
                change()
            assert refused.value.reason is Reason.ACCESS_DENIED
            assert existing.distinguished_name in refused.value.detail
        assert accounts.find(opened, existing.name) == existing


def test_a_taken_name_is_refused_wherever_it_stands(real_domain: RealDomain) -> None:
    unit, other = real_domain.unit(), real_domain.unit()
    with real_domain.as_administrator() as opened:
        taken = made(opened, unit)
        for where in (unit, other):
            assert why(opened, where, taken.name).reason is Reason.NAME_TAKEN


def test_the_quotas_refusal_in_active_directorys_words() -> None:
    """Samba has no such quota: an account without a delegated right is refused for the right it lacks."""
    said = "0000216D: SvcErr: DSID-031A1202, problem 5003 (WILL_NOT_PERFORM), data 0\n\0"
    error = LDAPUnwillingToPerformResult(53, "unwillingToPerform", "", said)
    problem = operation_problem(error, "making computer account CN=A,OU=B", "dc1")
    assert problem.reason is Reason.QUOTA_EXCEEDED
    assert "CN=A,OU=B at dc1: unwillingToPerform: 0000216D" in problem.detail
    other = LDAPUnwillingToPerformResult(53, "unwillingToPerform", "", "0000052D: SvcErr: DSID-031A1262")
    assert operation_problem(other, "x", "y").reason is Reason.UNKNOWN


def test_a_controller_that_is_killed_under_a_call_and_comes_back(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    joiner = real_domain.joiner(unit)
    with signed_in(real_domain.domain, joiner) as opened:
        before = made(opened, unit)
        real_domain.controller.kill()
        try:
            asks: list[Callable[[], object]] = [
                lambda: made(opened, unit),
                lambda: accounts.find(opened, before.name),
            ]
            for ask in asks:
                with pytest.raises(DirectoryProblem) as gone:
                    ask()
                assert gone.value.reason is Reason.SERVER_NOT_OPERATIONAL
                assert real_domain.controller.host in gone.value.detail
        finally:
            real_domain.controller.start()
    with signed_in(real_domain.domain, joiner) as opened:
        assert accounts.find(opened, before.name) == before


def _sign_in(domain: RealDomain, computer: Computer, password: str) -> str:
    """What the KDC says to the computer that knows its password; empty: a ticket."""
    config = domain.controller.directory / "client.conf"
    config.write_text(f"[realms]\n{domain.domain.realm} = {{\nkdc = {domain.controller.address}\n}}\n")
    done = subprocess.run(
        ["kinit", "-c", "MEMORY:", f"{computer.name}$@{domain.domain.realm}"],
        input=f"{password}\n",
        env={"KRB5_CONFIG": str(config), "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() if done.returncode else ""


def test_the_domain_gives_no_tickets_to_a_disabled_account(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    password = accounts.one_time_password()
    with signed_in(real_domain.domain, real_domain.joiner(unit)) as opened:
        name = f"ACC-{next(_numbers)}"
        computer = accounts.preset(opened, name, unit, password, mark="deskwright:x", description="x")
        assert _sign_in(real_domain, computer, password) == ""
        computer = accounts.disable(opened, computer)
        assert "revoked" in _sign_in(real_domain, computer, password)
        accounts.enable(opened, computer)
        assert _sign_in(real_domain, computer, password) == ""
        accounts.renew(opened, replace(computer, control=4096), accounts.one_time_password())
        assert "Password incorrect" in _sign_in(real_domain, computer, password)


def test_ids_are_those_of_the_directory(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    with real_domain.as_administrator() as opened:
        computer = made(opened, unit)
    shown = real_domain.controller.tool("computer", "show", computer.name, "--attributes=objectGUID")
    assert UUID(next(line.split()[1] for line in shown.splitlines() if line.startswith("objectGUID:"))) == computer.id
    assert Account("x", "secret").__repr__() == "Account(name='x')"
