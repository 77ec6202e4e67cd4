"""Machines that join by themselves: the provider's part, with a guest in the controller's network that really joins."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from deskwright.active_directory.client import Account
from deskwright.domain.resources import Kind
from deskwright.guest.actions import NEEDS_RESTART, Action, JoinDomain, RunCommand
from deskwright.guest.script import script_for, told
from deskwright.providers.activedirectory.directory import ActiveDirectory
from deskwright.providers.activedirectory.records import AccountRecords
from deskwright.providers.contract import Call, Made, NotYet, ProviderError
from deskwright.store.database import Database
from tests.active_directory.joining import joining, seen
from tests.conftest import Tenant
from tests.guest.linux_guest import LinuxGuest
from tests.providers.conformance import Outside
from tests.real_domain import RealDomain

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class WithAnInside:
    """Simulated compute whose machine joins as `inside` does."""

    def __init__(self, compute: Any, inside: Callable[[Action], str]) -> None:
        self._compute, self.inside = compute, inside
        self.restarts = 0
        self.told: list[JoinDomain] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compute, name)

    def configure_guest(self, call: Call, vm_id: str, actions: tuple[Action, ...]) -> str:
        for action in actions:
            if isinstance(action, JoinDomain):
                self.told.append(action)
                return self.inside(action)
        return str(self._compute.configure_guest(call, vm_id, actions))

    def restart(self, call: Call, vm_id: str) -> None:
        self.restarts += 1
        if self.restarts == 1:
            raise NotYet(NOW, "the machine starts")


@pytest.fixture(scope="module")
def unit(real_domain: RealDomain) -> str:
    return real_domain.unit()


@pytest.fixture(scope="module")
def joiner(real_domain: RealDomain, unit: str) -> Account:
    return real_domain.joiner(unit)


@pytest.fixture
def outside(database: Database, tenant: Tenant, real_domain: RealDomain, joiner: Account, unit: str) -> Outside:
    return joining(database, tenant, real_domain, joiner, unit)


@pytest.fixture
def guest(tmp_path: Path, real_domain: RealDomain) -> Iterator[LinuxGuest]:
    made = LinuxGuest(tmp_path, network_of=real_domain.controller.pid)
    made.sh("rm -f /etc/krb5.keytab /etc/krb5.conf; echo 'nameserver 127.0.0.99' >/etc/resolv.conf")
    yield made
    made.close()


def inside(guest: LinuxGuest) -> Callable[[Action], str]:
    """As a compute provider runs a script in a guest."""

    def run(action: Action) -> str:
        script = script_for("linux", (action,))
        done = guest.run(script.interpreter, script.text)
        printed = told(done.stdout + done.stderr, script.secrets)
        if done.returncode:
            raise ProviderError("internalServerError", device="CPC", step="C4", reason=printed)
        return printed

    return run


class Joining:
    """One Cloud PC's C4, asked as often as a test likes."""

    def __init__(self, database: Database, tenant: Tenant, outside: Outside, inside: Callable[[Action], str]) -> None:
        site = replace(tenant.site, directory={"kind": "activedirectory", "join": "guest"})
        self.compute = WithAnInside(outside.providers.compute, inside)
        self.directory = ActiveDirectory(database, site, self.compute)
        self.outside, self.vm, self.call = outside, outside.vm(), outside.call("C4")
        self.name, self._engine = outside.computer(self.call), database.single

    def ask(self) -> Made:
        return self.directory.join_domain(self.call, self.name, self.vm, self.outside.domain)

    def row(self) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(text("SELECT * FROM activedirectory.computer_accounts")).one()


def test_a_machine_joins_by_itself_and_never_hears_the_connections_password(
    database: Database, tenant: Tenant, outside: Outside, guest: LinuxGuest, real_domain: RealDomain, unit: str
) -> None:
    machine = Joining(database, tenant, outside, inside(guest))
    made = machine.ask()
    computer = seen(real_domain, machine.name)
    assert computer is not None
    assert (made.external_id, computer.distinguished_name) == (str(computer.id), f"CN={machine.name},{unit}")
    assert guest.sh(f"kinit -k '{machine.name}$' && klist") != ""
    (action,) = machine.compute.told
    assert outside.domain.password not in script_for("linux", (action,)).text
    assert action.one_time_password not in repr(action)
    assert machine.ask() == made
    assert len(machine.compute.told) == 1, "it is joined, and nobody is asked again"

    key = machine.call.key(Kind.COMPUTER_ACCOUNT)
    machine.directory.release(Kind.COMPUTER_ACCOUNT, key)
    refused = guest.run(("/bin/sh", "-c", f"kinit -k '{machine.name}$'"), "")
    assert "revoked" in refused.stderr


def test_a_machine_that_is_at_it_still_is_left_alone(
    database: Database, tenant: Tenant, outside: Outside, guest: LinuxGuest
) -> None:
    """A new one-time password meanwhile would undo the join that ends in the next moment."""
    really, times = inside(guest), 0

    def slowly(action: Action) -> str:
        nonlocal times
        times += 1
        printed = really(action)
        if times == 1:
            raise NotYet(NOW, "it is still at it")
        return printed

    machine = Joining(database, tenant, outside, slowly)
    with pytest.raises(NotYet):
        machine.ask()
    keys = guest.sh("sha256sum /etc/krb5.keytab")
    machine.ask()
    first, second = machine.compute.told
    assert first == second
    assert machine.row().turn == 1
    assert guest.sh("sha256sum /etc/krb5.keytab") == keys


def test_a_crash_after_the_machine_has_joined(
    database: Database, tenant: Tenant, outside: Outside, guest: LinuxGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    machine = Joining(database, tenant, outside, inside(guest))
    with monkeypatch.context() as patch:
        patch.setattr(AccountRecords, "joined", killed)
        with pytest.raises(Killed):
            machine.ask()
    machine.ask()
    assert machine.row().turn == 1
    assert guest.sh(f"kinit -k '{machine.name}$' && klist") != ""


def test_what_the_machine_said_has_its_code(
    database: Database, tenant: Tenant, outside: Outside, guest: LinuxGuest, real_domain: RealDomain
) -> None:
    guest.do(RunCommand("cp /usr/sbin/adcli /usr/sbin/adcli-real"))
    wrapper = '#!/bin/sh\\nexec faketime -f +10m /usr/sbin/adcli-real "$@"\\n'
    guest.sh(f"rm /usr/sbin/adcli; printf '{wrapper}' >/usr/sbin/adcli; chmod 755 /usr/sbin/adcli")
    with pytest.raises(ProviderError) as skewed:
        Joining(database, tenant, outside, inside(guest)).ask()
    assert skewed.value.code == "domainJoin_ClockSkew"
    for said in ("Clock skew too great", "UTC by the clock here", f"{real_domain.controller.host} has 20"):
        assert said in skewed.value.values["reason"]
    guest.sh("rm /usr/sbin/adcli")
    again = Joining(database, tenant, outside, inside(guest))
    again.call = outside.call("C4", attempt=2)
    again.name = outside.computer(again.call)
    with pytest.raises(ProviderError) as missing:
        again.ask()
    assert missing.value.code == "joinDomainFailed"
    assert "packages adcli and krb5-user" in missing.value.values["reason"]


def test_windows_is_started_anew_once_and_then_asked_again(
    database: Database, tenant: Tenant, outside: Outside
) -> None:
    def windows(action: Action) -> str:
        return f"domain: joined; {NEEDS_RESTART}" if machine.compute.restarts == 0 else "domain: joined already"

    machine = Joining(database, tenant, outside, windows)
    with pytest.raises(NotYet, match="the machine starts"):
        machine.ask()
    assert machine.row().joined_at is None
    machine.ask()
    assert (machine.compute.restarts, machine.row().turn) == (1, 1)
    assert machine.row().joined_at is not None
