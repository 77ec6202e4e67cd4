"""What the health checks of a connection find of a domain's controllers: DNS, reach, certificate, clock."""

import gc
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deskwright.active_directory import looking
from deskwright.checks.table import CHECKS
from tests.office import Office, failed, untried

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


def test_a_domain_that_dns_does_not_know(office: Office) -> None:
    office.enter(ad_domain_name="nowhere.contoso.test")
    office.describe(name="nowhere.contoso.test")
    seen = office.check()
    assert failed(seen) == {"dns": "dnsCheckFqdnNotFound"}
    assert "_ldap._tcp.dc._msdcs.nowhere.contoso.test" in seen["dns"].detail
    assert office.real.controller.address in seen["dns"].detail
    behind = {check.id for check in CHECKS.values() if check.looker == "directory"} - {"dns", "deviceSync"}
    assert behind - {"singleSignOn"} <= untried(seen)


def test_a_controller_that_does_not_answer(office: Office) -> None:
    host = office.real.controller.host
    office.describe(controllers=[f"{host}=127.0.0.1"])
    began = time.monotonic()
    seen = office.check()
    assert failed(seen) == {
        "directoryReach": "adJoinCheckServerNotOperational",
        "endpointConnectivity": "endpointConnectivityCheckAzureADUrlNotAllowListed",
    }
    assert seen["directoryReach"].detail == f"{host} (127.0.0.1:636) does not answer within 5 s"
    assert "not reached from this service's machine" in seen["endpointConnectivity"].detail
    assert {"directoryCertificate", "clockSkew", "joinAccount", "adDomainJoin"} <= untried(seen)
    assert time.monotonic() - began < 15


def test_one_of_two_controllers_is_enough_and_warns(office: Office) -> None:
    host, address = office.real.controller.host, office.real.controller.address
    office.describe(controllers=[f"{host}={address}", f"{host}=127.0.0.1"])
    seen = office.check()
    assert failed(seen) == {}
    assert seen["directoryReach"].status == "warning"
    assert "127.0.0.1:636) does not answer" in seen["directoryReach"].detail
    assert seen["directoryCertificate"].status == "passed"
    assert seen["endpointConnectivity"].status == "warning"


def test_a_domain_whose_controller_has_died(office: Office) -> None:
    """DNS is asked there, too: then that is what is missing."""
    assert failed(office.check()) == {}
    office.real.controller.kill()
    try:
        began = time.monotonic()
        seen = office.check()
        assert failed(seen) == {"dns": "dnsCheckFqdnNotFound"}
        assert office.real.controller.address in seen["dns"].detail
        assert time.monotonic() - began < 20
        assert office.health == "failed"
    finally:
        office.real.controller.start()
    assert failed(office.check()) == {}


@pytest.mark.parametrize(("clock", "status"), [("+10m", "failed"), ("-2m", "warning")])
def test_a_clock_that_is_off(
    office: Office, clock: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the controller itself, whose processes are told another time."""
    if not FAKETIME.exists():
        pytest.skip("needs libfaketime: apt-get install faketime")
    told = tmp_path / "clock"
    told.write_text(clock)
    office.real.controller.kill()
    with monkeypatch.context() as here:
        here.setenv("LD_PRELOAD", str(FAKETIME))
        here.setenv("FAKETIME_TIMESTAMP_FILE", str(told))  # Samba's processes write over their environment
        here.setenv("FAKETIME_NO_CACHE", "1")
        here.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        here.setenv("LDB_MODULES_DISABLE_DEEPBIND", "1")  # or what tells the time in Samba would not be covered
        office.real.controller.start()
    try:
        seen = office.check()
    finally:
        office.real.controller.kill()
        office.real.controller.start()
    clocks = seen["clockSkew"]
    assert (clocks.status, clocks.error_code) == (status, "adJoinCheckUnknownError")
    ahead = r"(599|600|601) s ahead of" if status == "failed" else r"(119|120|121) s behind"
    assert re.search(rf"20\d\d-.* UTC, {ahead} this machine's 20\d\d-.* UTC", clocks.detail), clocks.detail
    if status == "failed":
        assert failed(seen) == {"clockSkew": "adJoinCheckUnknownError"}
        assert seen["adDomainJoin"].detail == "not tried: “The clocks agree” failed"


def test_a_certificate_that_is_not_trusted(office: Office) -> None:
    office.describe(ca=None)
    seen = office.check()
    assert failed(seen) == {"directoryCertificate": "adJoinCheckServerNotOperational"}
    assert "certificate verify failed" in seen["directoryCertificate"].detail
    assert "It is for CN=DC1.corp.contoso.test" in seen["directoryCertificate"].detail
    assert {"clockSkew", "joinAccount", "adDomainJoin"} <= untried(seen)


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # the library forgets it
def test_a_certificate_for_another_name(office: Office) -> None:
    office.describe(controllers=[f"other.contoso.test={office.real.controller.address}"])
    seen = office.check()
    gc.collect()
    assert failed(seen) == {"directoryCertificate": "adJoinCheckServerNotOperational"}
    assert "certificate is for another name than other.contoso.test. It is for" in seen["directoryCertificate"].detail


def test_a_certificate_that_ends_soon_warns(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    see = looking.certificate

    def ending(*args: Any) -> looking.Certificate:
        seen = see(*args)
        return looking.Certificate(seen.names, seen.issuer, datetime.now(UTC) + timedelta(days=12, hours=1))

    monkeypatch.setattr(looking, "certificate", ending)
    seen = office.check()
    assert failed(seen) == {}
    assert seen["directoryCertificate"].status == "warning"
    assert "(12 days)" in seen["directoryCertificate"].detail
