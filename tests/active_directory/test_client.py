"""Signing in to a real controller: by which way, and what each way of failing is called."""

import gc
from dataclasses import replace

import pytest

from deskwright.active_directory.client import Account, signed_in
from deskwright.active_directory.discovery import Domain
from deskwright.active_directory.problems import DirectoryProblem, Reason
from tests.real_domain import RealDomain


@pytest.mark.parametrize("start_tls", [False, True])
def test_controllers_are_found_by_dns_and_asked_by_tls(real_domain: RealDomain, start_tls: bool) -> None:
    with signed_in(replace(real_domain.domain, start_tls=start_tls), real_domain.administrator) as opened:
        assert opened.controller.host == real_domain.controller.host
        assert opened.ldap.tls_started is start_tls
        opened.ldap.search(real_domain.domain.distinguished_name, "(objectClass=domain)", attributes=["objectSid"])
        assert len(opened.ldap.entries) == 1


def _why(domain: Domain, account: Account) -> DirectoryProblem:
    with pytest.raises(DirectoryProblem) as refused, signed_in(domain, account):
        pass
    assert account.password not in f"{refused.value} {refused.value.args}" or not account.password
    return refused.value


def test_a_wrong_password_an_unknown_account_and_no_password(real_domain: RealDomain) -> None:
    for account in (
        Account(real_domain.administrator.name, "not-that-one"),
        Account(f"nobody@{real_domain.domain.name}", "not-that-one"),
        Account(real_domain.administrator.name, ""),
    ):
        assert _why(real_domain.domain, account).reason is Reason.INCORRECT_CREDENTIALS


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # the library forgets it
def test_a_certificate_of_an_unknown_authority_or_for_another_name(real_domain: RealDomain) -> None:
    untrusted = replace(real_domain.domain, ca_certificate="")
    assert _why(untrusted, real_domain.administrator).reason is Reason.CERTIFICATE_NOT_TRUSTED
    other = replace(real_domain.domain, controllers=(f"other.example={real_domain.controller.address}",))
    problem = _why(other, real_domain.administrator)
    assert problem.reason is Reason.CERTIFICATE_NOT_TRUSTED
    assert "other.example" in problem.detail
    gc.collect()


def test_a_domain_without_controllers_and_a_controller_that_is_silent(real_domain: RealDomain) -> None:
    nowhere = replace(real_domain.domain, name="nowhere.test")
    problem = _why(nowhere, real_domain.administrator)
    assert problem.reason is Reason.DOMAIN_NOT_FOUND
    assert "_ldap._tcp.dc._msdcs.nowhere.test" in problem.detail
    silent = replace(real_domain.domain, controllers=("dc1.corp.contoso.test=127.0.0.1",))
    assert _why(silent, real_domain.administrator).reason is Reason.SERVER_NOT_OPERATIONAL


def test_the_next_controller_is_asked_when_the_first_is_silent(real_domain: RealDomain) -> None:
    host, address = real_domain.controller.host, real_domain.controller.address
    both = replace(real_domain.domain, controllers=(f"{host}=127.0.0.1", f"{host}={address}"))
    with signed_in(both, real_domain.administrator) as opened:
        assert opened.controller.address == address
