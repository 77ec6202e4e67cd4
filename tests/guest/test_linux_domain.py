"""Joining a domain inside a Linux guest, really done: against a real controller, in whose network the guest is."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from deskwright.active_directory import accounts
from deskwright.active_directory.accounts import Computer
from deskwright.guest.actions import JoinDomain, RunCommand, WriteFile
from deskwright.guest.script import script_for, told
from tests.guest.linux_guest import LinuxGuest
from tests.real_domain import RealDomain

_numbers = count(1)


@pytest.fixture(scope="module")
def unit(real_domain: RealDomain) -> str:
    return real_domain.unit()


@pytest.fixture
def guest(tmp_path: Path, real_domain: RealDomain) -> Iterator[LinuxGuest]:
    made = LinuxGuest(tmp_path, network_of=real_domain.controller.pid)
    made.sh("rm -f /etc/krb5.keytab /etc/krb5.conf; echo 'nameserver 127.0.0.99' >/etc/resolv.conf")  # refuses
    yield made
    made.close()


def account(real: RealDomain, unit: str) -> tuple[Computer, str]:
    """A computer account, and its one-time password."""
    password = accounts.one_time_password()
    with real.as_administrator() as opened:
        name = f"GUEST-{next(_numbers)}"
        return accounts.preset(opened, name, unit, password, mark="deskwright:test", description="a test's"), password


def joining(real: RealDomain, computer: Computer, password: str, *servers: str) -> JoinDomain:
    at = real.controller
    return JoinDomain(real.domain.name, at.host, at.address, computer.name, password, servers)


def test_a_machine_joins_and_gets_its_own_ticket_again_and_again(
    guest: LinuxGuest, real_domain: RealDomain, unit: str
) -> None:
    computer, password = account(real_domain, unit)
    at = real_domain.controller
    guest.sh(f"echo 'nameserver {at.address}' >/etc/resolv.conf")
    first = guest.do(joining(real_domain, computer, password))
    principal = f"{computer.name}$@{real_domain.domain.realm}"
    assert first == (
        f"domain {real_domain.domain.name}: joined as {computer.name} at {at.host}; "
        f"ticket for {principal}; found by DNS\n"
    )
    assert principal in guest.sh("klist -k /etc/krb5.keytab")
    assert guest.sh("stat -c %a /etc/krb5.keytab").strip() == "600"
    keys = guest.sh("sha256sum /etc/krb5.keytab")
    again = guest.do(joining(real_domain, computer, password))
    assert again.startswith(f"domain {real_domain.domain.name}: joined already as {computer.name}")
    assert guest.sh("sha256sum /etc/krb5.keytab") == keys
    # Any program of the guest finds the domain now.
    assert principal in guest.sh("kinit -k 'GUEST-1$' -c /run/cc && klist -c /run/cc".replace("GUEST-1", computer.name))
    shown = at.tool("computer", "show", computer.name, "--attributes=lastLogon,userAccountControl")
    assert "userAccountControl: 4096" in shown


def test_a_script_that_is_told_twice_at_once_joins_once(guest: LinuxGuest, real_domain: RealDomain, unit: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    computer, password = account(real_domain, unit)
    with ThreadPoolExecutor(2) as two:
        told_twice = list(two.map(lambda _: guest.do(joining(real_domain, computer, password)), range(2)))
    assert sorted(text.split(" as ")[0].rpartition(": ")[2] for text in told_twice) == ["joined", "joined already"]


@pytest.mark.parametrize("named", [True, False], ids=["name servers", "nothing"])
def test_a_guest_whose_dns_does_not_know_the_domain(
    guest: LinuxGuest, real_domain: RealDomain, unit: str, named: bool
) -> None:
    computer, password = account(real_domain, unit)
    address = real_domain.controller.address
    guest.sh("echo 'nameserver 192.0.2.53' >/etc/resolv.conf")  # never answers
    printed = guest.do(joining(real_domain, computer, password, *([address] if named else [])))
    resolving = guest.sh("cat /etc/resolv.conf").splitlines()
    if named:
        assert f"found by DNS ({address})" in printed
        assert resolving == [f"nameserver {address}", "nameserver 192.0.2.53"]
    else:
        assert f"found at {address} only" in printed
        assert resolving == ["nameserver 192.0.2.53"]
    assert f"ticket for {computer.name}$@" in printed
    assert (f"kdc = {address}" in guest.sh("cat /etc/krb5.conf")) != named


def test_a_wrong_password_is_refused_and_shown_nowhere(guest: LinuxGuest, real_domain: RealDomain, unit: str) -> None:
    computer, _ = account(real_domain, unit)
    action = joining(real_domain, computer, "not-'that'-$(one)")
    done = guest.try_to(action)
    assert done.returncode == 1
    assert f"expected a join as {computer.name} at {real_domain.controller.host}" in done.stderr
    assert "Preauthentication failed" in done.stderr
    assert "that" not in told(done.stderr, script_for("linux", (action,)).secrets)
    guest.sh("test ! -e /etc/krb5.keytab")
    assert "not-" not in repr(action)


def test_a_guest_of_another_domain_or_account_joins_this_one(
    guest: LinuxGuest, real_domain: RealDomain, unit: str
) -> None:
    for _ in range(2):
        computer, password = account(real_domain, unit)
        assert f": joined as {computer.name} " in guest.do(joining(real_domain, computer, password))
    assert guest.sh("klist -k /etc/krb5.keytab | grep -c GUEST- || :").strip() != "0"
    assert f"{computer.name}$" in guest.sh("klist -k /etc/krb5.keytab")
    # Its account got another password: what the machine has is worth nothing, so it joins anew.
    with real_domain.as_administrator() as opened:
        password = accounts.one_time_password()
        accounts.renew(opened, computer, password)
    assert f": joined as {computer.name} " in guest.do(joining(real_domain, computer, password))


def test_somebody_elses_kerberos_configuration_stays(guest: LinuxGuest, real_domain: RealDomain, unit: str) -> None:
    computer, password = account(real_domain, unit)
    theirs = f"[libdefaults]\ndefault_realm = {real_domain.domain.realm}\n"
    guest.do(WriteFile("/etc/krb5.conf", theirs))
    guest.do(joining(real_domain, computer, password, real_domain.controller.address))
    assert guest.sh("cat /etc/krb5.conf") == theirs


def test_a_guest_without_adcli_names_the_packages(guest: LinuxGuest, real_domain: RealDomain, unit: str) -> None:
    guest.do(RunCommand("rm /usr/sbin/adcli"))
    computer, password = account(real_domain, unit)
    said = guest.refusal(joining(real_domain, computer, password))
    assert "expected adcli in the guest (packages adcli and krb5-user), found no adcli" in said


def test_a_guest_whose_clock_is_off_hears_it_from_the_domain(
    guest: LinuxGuest, real_domain: RealDomain, unit: str
) -> None:
    guest.do(WriteFile("/usr/local/adcli", '#!/bin/sh\nexec faketime -f +10m /usr/sbin/adcli-real "$@"\n', 0o755))
    guest.sh("cp /usr/sbin/adcli /usr/sbin/adcli-real && mv /usr/local/adcli /usr/sbin/adcli")
    computer, password = account(real_domain, unit)
    assert "Clock skew too great" in guest.refusal(joining(real_domain, computer, password))


@pytest.mark.parametrize(
    "change",
    [
        {"domain": "corp"},
        {"domain": "corp.test; reboot"},
        {"controller": "dc1"},
        {"address": "dc1.corp.test"},
        {"computer_name": "A B"},
        {"one_time_password": ""},
        {"one_time_password": "two\nlines"},
        {"name_servers": ("ns1.corp.test",)},
    ],
)
@pytest.mark.parametrize("family", ["linux", "windows"])
def test_what_could_not_be_joined_is_refused_before_anything_runs(change: dict[str, object], family: str) -> None:
    values: dict[str, object] = {
        "domain": "corp.test",
        "controller": "dc1.corp.test",
        "address": "10.0.0.1",
        "computer_name": "CPC-1",
        "one_time_password": "x",
    }
    script_for(family, (JoinDomain(**values),))  # type: ignore[arg-type]
    if family == "windows" and change in ({"address": "dc1.corp.test"}, {"one_time_password": "two\nlines"}):
        return  # it asks DNS for the address; a password may be anything there
    with pytest.raises(ValueError, match=r"."):
        script_for(family, (JoinDomain(**{**values, **change}),))  # type: ignore[arg-type]
