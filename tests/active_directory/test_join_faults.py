"""Provisioning with a real domain: the whole of C4, every way it fails against a real controller, and what is left."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ldap3
import pytest

from deskwright.active_directory import accounts
from deskwright.active_directory.client import Account, signed_in
from deskwright.active_directory.problems import DirectoryProblem
from deskwright.domain.status import Status
from deskwright.errors import CATALOGUE
from deskwright.operations.connections import delete
from deskwright.providers.activedirectory import host_join
from deskwright.provision.steps import core
from tests.active_directory.joining import describe, seen, synchronise
from tests.company import PLAN, Company
from tests.real_domain import RealDomain


@pytest.fixture(scope="module")
def unit(real_domain: RealDomain) -> str:
    return real_domain.unit()


@pytest.fixture(scope="module")
def joiner(real_domain: RealDomain, unit: str) -> Account:
    return real_domain.joiner(unit)


@pytest.fixture
def ready(company: Company, real_domain: RealDomain, joiner: Account, unit: str) -> Company:
    """Adele is due a Cloud PC that joins the domain; nothing has begun."""
    company.basics("adele", connections=("HQ",))
    directory = '{"kind": "activedirectory"}'
    company.sql('UPDATE sites SET directory = :d, management = \'{"kind": "builtin"}\'', d=directory)
    describe(company.world.database, company.tenant.id, real_domain)
    joins_as(company, joiner, unit, real_domain.domain.name)
    return company


def joins_as(company: Company, joiner: Account, unit: str, domain: str) -> None:
    company.sql(
        "UPDATE connections SET ad_domain_name = :domain, organizational_unit = :unit, ad_domain_username = :name, "
        "ad_domain_password = :password",
        domain=domain,
        unit=unit,
        name=joiner.name,
        password=company.world.secrets.encrypt(joiner.password),
    )


def computer_name(company: Company) -> str:
    """Of the last attempt's machine."""
    made = [row for row in company.steps("adele") if row.step == "C2" and row.outcome == "succeeded"]
    return str(made[-1].made["computerName"])


# --- as it should be -----------------------------------------------------------------------------------


@pytest.fixture
def kept_keytab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The keytab of the last machine that joined, which Deskwright throws away."""
    wrapper, kept = tmp_path / "adcli", tmp_path / "kept.keytab"
    keep = f'while [ $# -gt 1 ]; do [ "$1" = --host-keytab ] && cp "$2" {kept}; shift; done'
    wrapper.write_text(f'#!/bin/sh\n/usr/sbin/adcli "$@"; code=$?\n{keep}\nexit $code\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return kept


def ticket(real: RealDomain, keytab: Path, name: str) -> str:
    """What the KDC says to the machine with its own key; empty: it gave a ticket."""
    config = keytab.with_name("krb5.conf")
    config.write_text(f"[realms]\n{real.domain.realm} = {{\nkdc = {real.controller.address}\n}}\n")
    done = subprocess.run(
        ["kinit", "-c", "MEMORY:", "-k", "-t", str(keytab), f"{name}$@{real.domain.realm}"],
        env={"KRB5_CONFIG": str(config), "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() if done.returncode else ""


def test_a_cloud_pc_joins_waits_for_the_synchronisation_and_is_disabled_at_its_end(
    ready: Company, real_domain: RealDomain, unit: str, kept_keytab: Path
) -> None:
    """C4, L3: joined into the unit, provisioned once it is synchronised, and refused by the KDC when it is gone."""
    ready.settle()
    waiting = ready.steps("adele")[-1]
    assert (waiting.step, waiting.outcome) == ("C4", "running")
    name = computer_name(ready)
    computer = seen(real_domain, name)
    assert computer is not None
    assert computer.distinguished_name == f"CN={name},{unit}"
    assert ticket(real_domain, kept_keytab, name) == ""

    ready.advance(minutes=20)
    assert ready.steps("adele")[-1].step == "C4", "it is not synchronised yet"
    synchronise(ready.world.database, ready.tenant.id, real_domain)
    ready.advance(minutes=2)
    assert ready.status("adele") == Status.PROVISIONED
    joined = next(row for row in ready.steps("adele") if row.step == "C4")
    assert unit in joined.output
    assert ready.leaks() == set()

    with pytest.raises(Exception, match="can be deleted only while nothing uses it"):
        delete(ready.world.database, ready.tenant, "test", "HQ")
    ready.sql("DELETE FROM policy_connections")
    ready.leave("adele", "Sales", confirmed=True)
    ready.settle().advance(days=8)
    assert ready.pcs("adele") == []
    with pytest.raises(Exception, match="1 computer accounts of Cloud PCs that are cleaned up by its join account"):
        delete(ready.world.database, ready.tenant, "test", "HQ")
    assert ticket(real_domain, kept_keytab, name) == "", "not before the clean-up"

    ready.advance(hours=4)
    left = seen(real_domain, name)
    assert left is not None
    assert (left.id, left.enabled, left.distinguished_name) == (computer.id, False, computer.distinguished_name)
    assert "revoked" in ticket(real_domain, kept_keytab, name)
    ((state,),) = ready.sql("SELECT state FROM ledger WHERE kind = 'computerAccount'")
    assert state == "disabled"
    assert ready.inventory() == {}
    delete(ready.world.database, ready.tenant, "test", "HQ")


# --- faults --------------------------------------------------------------------------------------------


@contextmanager
def password_rules(real: RealDomain, account: Account, **changes: str) -> Iterator[None]:
    """Rules of passwords for one account (a password settings object)."""
    name = account.name.partition("@")[0]
    settings = f"CN={name}-rules,CN=Password Settings Container,CN=System,{real.domain.distinguished_name}"
    values = {
        "msDS-PasswordSettingsPrecedence": "1",
        "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
        "msDS-PasswordHistoryLength": "0",
        "msDS-PasswordComplexityEnabled": "FALSE",
        "msDS-MinimumPasswordLength": "0",
        "msDS-MinimumPasswordAge": "0",
        "msDS-MaximumPasswordAge": "-9223372036854775808",
        "msDS-LockoutThreshold": "0",
        "msDS-LockoutObservationWindow": "-18000000000",
        "msDS-LockoutDuration": "-18000000000",
        **{f"msDS-{key}": value for key, value in changes.items()},
    }
    with real.as_administrator() as opened:
        ldap: Any = opened.ldap
        ldap.search(real.domain.distinguished_name, f"(sAMAccountName={name})")
        values["msDS-PSOAppliesTo"] = ldap.response[0]["dn"]
        ldap.add(settings, ["msDS-PasswordSettings"], values)
    try:
        yield
    finally:
        with real.as_administrator() as opened:
            ldap = opened.ldap
            ldap.delete(settings)


# As the controller's own programs may: nobody can say by LDAP that a password is old.
_DAYS_OLD = """\
import sys, ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
configuration = LoadParm()
configuration.load(sys.argv[1])
directory = SamDB(session_info=system_session(), lp=configuration)
(found,) = directory.search(expression=f"(sAMAccountName={sys.argv[2]})", attrs=["pwdLastSet"])
change = ldb.Message(found.dn)
then = str(int(found["pwdLastSet"][0]) - int(sys.argv[3]) * 864000000000)
change["pwdLastSet"] = ldb.MessageElement(then, ldb.FLAG_MOD_REPLACE, "pwdLastSet")
directory.modify(change, controls=["local_oid:1.3.6.1.4.1.7165.4.3.20:0"])
"""


@contextmanager
def expired(real: RealDomain, account: Account) -> Iterator[None]:
    """Three days old, where two are the most."""
    with password_rules(real, account, MaximumPasswordAge="-1728000000000"):
        at = real.controller
        here = ["/usr/bin/python3", "-", str(at.directory / "etc" / "smb.conf"), account.name.partition("@")[0], "3"]
        at.run(*here, stdin=_DAYS_OLD)
        yield


@contextmanager
def locked(real: RealDomain, account: Account) -> Iterator[None]:
    with password_rules(real, account, LockoutThreshold="1"):
        for _ in range(2):
            with pytest.raises(DirectoryProblem), signed_in(real.domain, Account(account.name, "not-this-one")):
                pass
        yield


@contextmanager
def disabled(real: RealDomain, account: Account) -> Iterator[None]:
    real.controller.tool("user", "disable", account.name.partition("@")[0])
    yield


@contextmanager
def to_be_changed(real: RealDomain, account: Account) -> Iterator[None]:
    name = account.name.partition("@")[0]
    real.controller.tool(
        "user", "setpassword", name, f"--newpassword={account.password}", "--must-change-at-next-login"
    )
    yield


@contextmanager
def without_quota(real: RealDomain, account: Account) -> Iterator[None]:
    """No computer for whoever has no right of their own. (Samba counts none; it refuses those for the right.)"""

    def let(most: str) -> None:
        with real.as_administrator() as opened:
            ldap: Any = opened.ldap
            change = {"ms-DS-MachineAccountQuota": [(ldap3.MODIFY_REPLACE, [most])]}
            ldap.modify(real.domain.distinguished_name, change)

    let("0")
    try:
        yield
    finally:
        let("10")


@contextmanager
def nothing_else(real: RealDomain, account: Account) -> Iterator[None]:
    yield


Trouble = Callable[[RealDomain, Account], Any]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (nothing_else, "domainJoin_AccessDenied"),
        (without_quota, "domainJoin_AccountQuotaExceeded"),
        (expired, "domainJoin_AccountPasswordExpired"),
        (to_be_changed, "domainJoin_AccountPasswordExpired"),
        (locked, "domainJoin_AccountLockedOut"),
        (disabled, "domainJoin_AccountDisabled"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_an_account_that_cannot_join(
    ready: Company, real_domain: RealDomain, unit: str, trouble: Trouble, code: str
) -> None:
    """Each with a fresh account that has no right in the unit: with one, the last four would still be refused."""
    account = real_domain.user()
    joins_as(ready, account, unit, real_domain.domain.name)
    with trouble(real_domain, account):
        ready.settle()
    failed_with(ready, code, account.name, real_domain.domain.name, secret=account.password)


def failed_with(company: Company, code: str, *values: str, secret: str = "", attempts: int = 3) -> str:
    """The run failed with this code after its attempts; `values` stand in what the administrator is told."""
    pc, rows = company.pc("adele"), company.steps("adele")
    failed = [row for row in rows if row.outcome == "failed"]
    assert [(row.step, row.code) for row in failed] == [("C4", code)] * attempts, [row.message for row in failed]
    told = f"{failed[-1].message} {pc.status_detail}"
    for value in values:
        assert value in told
    assert "?" not in failed[-1].message
    assert not secret or secret not in told
    assert (CATALOGUE[code].cause != "", len(CATALOGUE[code].remedies) > 0) == (True, True)
    assert pc.status == Status.FAILED
    assert pc.status_detail["code"] == code
    company.advance(hours=4)
    assert company.leaks() == set()
    assert company.inventory() == {}
    assert company.sql("SELECT key FROM activedirectory.computer_accounts WHERE released_at IS NULL") == []
    return str(told)


def test_a_wrong_password(ready: Company, real_domain: RealDomain, joiner: Account, unit: str) -> None:
    joins_as(ready, Account(joiner.name, "not-that-one"), unit, real_domain.domain.name)
    ready.settle()
    failed_with(ready, "domainJoin_AccountNameOrPasswordIncorrect", joiner.name, secret="not-that-one")


def test_a_missing_and_a_malformed_unit(ready: Company, real_domain: RealDomain, joiner: Account) -> None:
    missing = f"OU=Missing,{real_domain.domain.distinguished_name}"
    joins_as(ready, joiner, missing, real_domain.domain.name)
    ready.settle()
    failed_with(ready, "domainJoin_OrganizationalUnitNotFound", missing, real_domain.domain.name)


def test_a_malformed_unit(ready: Company, real_domain: RealDomain, joiner: Account) -> None:
    joins_as(ready, joiner, "OU=Cloud;PCs", real_domain.domain.name)
    ready.settle()
    failed_with(ready, "domainJoin_OrganizationalUnitIncorrectFormat", "OU=Cloud;PCs")


def test_a_taken_name(ready: Company, real_domain: RealDomain, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with real_domain.as_administrator() as opened:
        theirs = accounts.preset(
            opened, "CPC-THEIRS", unit, accounts.one_time_password(), mark="theirs", description="x"
        )
    monkeypatch.setattr(core, "device_name", lambda *_: "CPC-THEIRS")
    ready.settle()
    failed_with(ready, "domainJoin_ComputerObjectAlreadyExists", f"CN=CPC-THEIRS,{unit}")
    assert seen(real_domain, "CPC-THEIRS") == theirs


def test_a_controller_that_cannot_be_reached(ready: Company, real_domain: RealDomain) -> None:
    describe(ready.world.database, ready.tenant.id, real_domain, controllers=("dc9.corp.contoso.test=127.0.0.1",))
    ready.settle()
    told = failed_with_while_away(ready, "domainJoin_NetworkConnectivityIssue")
    assert "dc9.corp.contoso.test (127.0.0.1:636)" in told
    assert "network corp" in told


def failed_with_while_away(company: Company, code: str) -> str:
    failed = [row for row in company.steps("adele") if row.outcome == "failed"]
    assert [row.code for row in failed] == [code] * 3
    assert company.pc("adele").status_detail["code"] == code
    return str(failed[-1].message)


def test_a_domain_that_is_not_there(ready: Company, joiner: Account, real_domain: RealDomain, unit: str) -> None:
    describe(ready.world.database, ready.tenant.id, real_domain, name="nowhere.test")
    joins_as(ready, joiner, unit, "nowhere.test")
    ready.settle()
    told = failed_with(ready, "domainJoin_DomainNotExistOrCouldNotBeContacted", "nowhere.test")
    assert "_ldap._tcp.dc._msdcs.nowhere.test" in told


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # ldap3 forgets it
def test_a_certificate_that_is_not_trusted(ready: Company, real_domain: RealDomain) -> None:
    describe(ready.world.database, ready.tenant.id, real_domain, ca_certificate="")
    ready.settle()
    told = failed_with_while_away(ready, "domainJoin_CertificateNotTrusted")
    assert real_domain.controller.host in told


def test_a_controller_that_goes_down_under_the_join_and_comes_back(
    ready: Company, real_domain: RealDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is made, the machine finds nobody; the next attempt joins, the first one's account is disabled."""
    join, times = host_join.join, 0

    def while_it_goes_down(*arguments: Any) -> str:
        nonlocal times
        times += 1
        if times > 1:
            return join(*arguments)
        real_domain.controller.kill()
        try:
            return join(*arguments)
        finally:
            real_domain.controller.start()

    monkeypatch.setattr(host_join, "join", while_it_goes_down)
    ready.settle()
    failed = [row for row in ready.steps("adele") if row.outcome == "failed"]
    assert [(row.attempt, row.step, row.code) for row in failed] == [(1, "C4", "domainJoin_NetworkConnectivityIssue")]
    first = next(row.made["computerName"] for row in ready.steps("adele") if row.step == "C2")
    synchronise(ready.world.database, ready.tenant.id, real_domain)
    ready.advance(minutes=2)
    assert ready.status("adele") == Status.PROVISIONED
    ready.advance(hours=4)
    ours, theirs = seen(real_domain, computer_name(ready)), seen(real_domain, first)
    assert ours is not None
    assert theirs is not None
    assert (ours.enabled, theirs.enabled) == (True, False)
    assert ready.leaks() == set()


def test_a_clock_ten_minutes_off(
    ready: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_domain: RealDomain
) -> None:
    """The KDC's own verdict, KRB5KRB_AP_ERR_SKEW: adcli runs with a clock that is ahead."""
    wrapper = tmp_path / "adcli"
    wrapper.write_text('#!/bin/sh\nexec faketime -f +10m /usr/sbin/adcli "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ready.settle()
    told = failed_with(ready, "domainJoin_ClockSkew", real_domain.controller.host)
    assert "Clock skew too great" in told
    assert f"{real_domain.controller.host} has 20" in told


def test_a_synchronisation_that_stands_still(ready: Company, real_domain: RealDomain) -> None:
    """C4: the wait has an end (90 minutes, a setting), here on the fast clock."""
    ready.sql("UPDATE domains SET sync_enabled = false")
    ready.settle()
    for _ in range(3):
        ready.advance(minutes=89)
        assert ready.steps("adele")[-1].outcome == "running"
        ready.advance(minutes=2)
    told = failed_with(ready, "hybridAADJoinFailed", computer_name(ready))
    assert f"the synchronisation of {real_domain.domain.name} is switched off" in told
    assert "90 minutes" in told or "91 minutes" in told


def test_the_plan_of_the_test_is_the_companys(ready: Company) -> None:
    assert ready.ids[PLAN]
