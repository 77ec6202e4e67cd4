"""Looking at a real domain without changing it, and the trial join that leaves it as it was."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deskwright.active_directory import accounts, looking, trial
from deskwright.active_directory.client import Account, signed_in
from deskwright.active_directory.discovery import Controller, controllers
from deskwright.active_directory.problems import DirectoryProblem, Reason
from tests.real_domain import RealDomain

MARK = "deskwright-trial:test"


def test_rights_with_and_without_a_delegation(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    for account, may in (
        (real_domain.joiner(unit), True),
        (real_domain.user(), False),
        (real_domain.administrator, True),
    ):
        with signed_in(real_domain.domain, account) as opened:
            assert looking.may_create_computers(opened, unit) is may
            assert looking.quota(opened).most == 10


def test_what_is_seen_at_each_controller(real_domain: RealDomain) -> None:
    domain = real_domain.domain
    found = controllers(domain)
    silent = Controller(found[0].host, "127.0.0.1")
    seen = looking.of_each([*found, silent], lambda controller: looking.answers(domain, controller))
    assert seen[found[0]] == f"{real_domain.controller.host} ({real_domain.controller.address}:636)"
    problem = seen[silent]
    assert isinstance(problem, DirectoryProblem)
    assert problem.reason is Reason.SERVER_NOT_OPERATIONAL


@pytest.mark.parametrize("start_tls", [False, True])
def test_the_certificate_and_the_clock(real_domain: RealDomain, start_tls: bool) -> None:
    domain = replace(real_domain.domain, start_tls=start_tls)
    (controller,) = controllers(domain)
    certificate = looking.certificate(domain, controller)
    assert certificate.names == ("DC1.corp.contoso.test",)
    assert certificate.ends_at > datetime.now(UTC) + timedelta(days=300)
    assert abs(looking.times(domain, controller).apart_seconds) < 3


def test_a_forest_without_what_entra_would_make(real_domain: RealDomain) -> None:
    with real_domain.as_administrator() as opened:
        assert looking.service_connection_point(opened) is None
        assert not looking.has_kerberos_server(opened)


def left(real_domain: RealDomain, unit: str) -> list[str]:
    with real_domain.as_administrator() as opened:
        return [computer.name for computer in accounts.marked(opened, unit, "deskwright")]


def test_a_trial_join_leaves_nothing_and_is_quick(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    joiner = real_domain.joiner(unit)
    began = time.monotonic()
    joined = trial.join(real_domain.domain, joiner, unit, "CPC-HTH0A0B0C0D", mark=MARK)
    took = time.monotonic() - began
    print(f"trial join: {took:.2f} s")
    assert took < 5
    assert joined.left == "deleted"
    assert joined.distinguished_name == f"CN=CPC-HTH0A0B0C0D,{unit}"
    assert left(real_domain, unit) == []


def test_one_that_was_cut_short_is_used_again(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    joiner = real_domain.joiner(unit)
    with signed_in(real_domain.domain, joiner) as opened:
        made = accounts.preset(opened, "CPC-HTHCUT", unit, accounts.one_time_password(), mark=MARK, description="x")
    joined = trial.join(real_domain.domain, joiner, unit, "CPC-HTHCUT", mark=MARK)
    assert joined.distinguished_name == made.distinguished_name
    assert left(real_domain, unit) == []


def test_the_machine_itself_must_be_able_to_sign_in(real_domain: RealDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that is made is no join yet; and it is taken away also when the join fails."""
    unit = real_domain.unit()
    joiner = real_domain.joiner(unit)
    monkeypatch.setattr(trial, "Account", lambda name, _: Account(name, "another password"))
    with pytest.raises(DirectoryProblem) as failed:
        trial.join(real_domain.domain, joiner, unit, "CPC-HTHNOT", mark=MARK)
    assert failed.value.reason is Reason.INCORRECT_CREDENTIALS
    assert left(real_domain, unit) == []


def test_nobody_elses_account_is_touched(real_domain: RealDomain) -> None:
    unit = real_domain.unit()
    joiner = real_domain.joiner(unit)
    with signed_in(real_domain.domain, joiner) as opened:
        accounts.preset(opened, "CPC-HTHMINE", unit, accounts.one_time_password(), mark="deskwright:x", description="x")
    with pytest.raises(DirectoryProblem) as refused:
        trial.join(real_domain.domain, joiner, unit, "CPC-HTHMINE", mark=MARK)
    assert refused.value.reason is Reason.NAME_TAKEN
    assert left(real_domain, unit) == ["CPC-HTHMINE"]
