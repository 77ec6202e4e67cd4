"""The health checks of a connection into a real domain, and what hangs on them: each fault by its code, with the actual
values and a remedy."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deskwright.active_directory import accounts
from deskwright.active_directory.client import Account
from deskwright.checks.table import CHECKS
from deskwright.operations import connection_view, connections
from deskwright.providers.activedirectory import health_trial
from tests.office import OTHER, Office, failed, untried


def test_everything_is_really_looked_at(office: Office) -> None:
    seen = office.check()
    assert failed(seen) == {}
    assert office.health == "warning"  # a domain of its own has no service connection point
    told = {check: row.detail for check, row in seen.items()}
    host, address, who = office.real.controller.host, office.real.controller.address, office.joiner.name
    assert told["dns"] == f"controllers of {office.real.domain.name}: {host} {address} (asked: {address})"
    assert told["directoryReach"] == f"{host} ({address}:636) answers"
    assert f"{host.replace('dc1', 'DC1')}, signed by" in told["directoryCertificate"]
    assert " days)" in told["directoryCertificate"]
    assert ", here it is " in told["clockSkew"]
    assert told["joinAccount"] == f"{who} signed in at {host}"
    assert told["organizationalUnitRights"] == f"{who} may create computer objects in {office.unit}"
    assert "is 10, which does not count: the account has the right" in told["machineAccountQuota"]
    own = health_trial.name_of(office.company.ids["HQ"])
    assert told["adDomainJoin"] == f"CN={own},{office.unit} joined at {host} by {who}, and was deleted"
    assert told["serviceConnectionPoint"] == f"the forest of {office.real.domain.name} has no service connection point"
    assert seen["serviceConnectionPoint"].error_code == "azureAdDeviceSyncCheckScpNotConfigured"
    assert f"synchronisation of {office.real.domain.name} last succeeded at " in told["deviceSync"]
    assert f"{host}: Kerberos ({address}:88)" in told["endpointConnectivity"]
    assert seen["enrolmentRestrictions"].status == "passed"
    assert not any("not looked at" in detail for detail in told.values())


def test_each_check_has_its_own_time_and_a_trial_join_takes_less_than_five_seconds(office: Office) -> None:
    seen = office.check()
    assert all(row.seconds is not None and row.ended_at >= row.started_at for row in seen.values())
    assert seen["joinAccount"].seconds > 0.01  # it spoke to a controller
    print("seconds", {check: round(row.seconds, 3) for check, row in seen.items()})
    assert seen["adDomainJoin"].seconds < 5
    (result,) = connection_view.results(office.company.world.database, office.company.tenant, office.company.ids["HQ"])
    assert result["seconds"] == pytest.approx(sum(row.seconds for row in seen.values()), abs=0.01)


def test_a_check_is_running_while_it_is_looked_at(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages see which it is, and that the others are still to come."""
    during: dict[str, str] = {}
    looked = health_trial.look

    def watched(*args: Any) -> Any:
        during.update({check: row.status for check, row in office.seen().items()})
        item = connections.show(office.company.world.database, office.company.tenant, "HQ")
        assert item["healthCheckRunning"]
        return looked(*args)

    monkeypatch.setattr(health_trial, "look", watched)
    office.check()
    assert during["adDomainJoin"] == "running"
    assert during["joinAccount"] == "passed"
    assert "deviceSync" not in during


def mended(seen: dict[str, Any]) -> None:
    """Whatever failed says what to do."""
    for check in failed(seen):
        assert CHECKS[check].remedy


def test_a_wrong_password(office: Office) -> None:
    """One check says so, the others that need it are not tried; what does not need it goes on."""
    office.password(OTHER)
    seen = office.check()
    assert failed(seen) == {"joinAccount": "adJoinCheckIncorrectCredentials"}
    assert office.joiner.name in seen["joinAccount"].detail
    assert OTHER not in seen["joinAccount"].detail
    needs = {check.id for check in CHECKS.values() if "joinAccount" in check.after}
    assert untried(seen) == needs
    assert seen["adDomainJoin"].detail == "not tried: “The join account can sign in” failed"
    assert seen["deviceSync"].status == "passed"
    assert office.health == "failed"
    mended(seen)


@contextmanager
def changed(office: Office, *command: str, back: tuple[str, ...] = ()) -> Iterator[None]:
    office.real.controller.tool(*command)
    try:
        yield
    finally:
        if back:
            office.real.controller.tool(*back)


def short(office: Office) -> str:
    return office.joiner.name.partition("@")[0]


def modify(office: Office, dn: str, **values: Any) -> None:
    import ldap3

    with office.real.as_administrator() as opened:
        changes = {name.replace("_", "-"): [(ldap3.MODIFY_REPLACE, value)] for name, value in values.items()}
        opened.ldap.modify(dn, changes)  # type: ignore[no-untyped-call]


def of_joiner(office: Office) -> str:
    return f"CN={short(office)},CN=Users,{office.real.domain.distinguished_name}"


def test_an_expired_password(office: Office) -> None:
    modify(office, of_joiner(office), pwdLastSet=["0"])
    seen = office.check()
    assert failed(seen) == {"joinAccount": "adJoinCheckCredentialsExpired"}
    assert office.joiner.name in seen["joinAccount"].detail


def test_a_disabled_account(office: Office) -> None:
    office.real.controller.tool("user", "disable", short(office))
    assert failed(office.check()) == {"joinAccount": "adJoinCheckAccountLockedOrDisabled"}


def test_a_locked_account(office: Office) -> None:
    before, after = ("--account-lockout-threshold=3",), ("--account-lockout-threshold=0",)
    settings = ("domain", "passwordsettings", "set")
    with changed(office, *settings, *before, back=(*settings, *after)):
        office.password(OTHER)
        for _ in range(4):
            office.check()
        office.password(office.joiner.password)
        seen = office.check()
        assert failed(seen) == {"joinAccount": "adJoinCheckAccountLockedOrDisabled"}
        office.real.controller.tool("user", "unlock", short(office))
        assert failed(office.check()) == {}


def test_no_right_in_the_unit(office: Office) -> None:
    """The quota might let an account join without a right, so the trial decides; where it is 0, nothing can."""
    office.enter(organizational_unit=office.real.unit())
    seen = office.check()
    assert seen["organizationalUnitRights"].status == "warning"
    assert "may not create computer objects in OU=" in seen["organizationalUnitRights"].detail
    assert failed(seen) == {"adDomainJoin": "adJoinCheckAccessDenied"}
    assert "insufficientAccessRights" in seen["adDomainJoin"].detail


@contextmanager
def quota(office: Office, most: int) -> Iterator[None]:
    modify(office, office.real.domain.distinguished_name, ms_DS_MachineAccountQuota=[str(most)])
    try:
        yield
    finally:
        modify(office, office.real.domain.distinguished_name, ms_DS_MachineAccountQuota=["10"])


def test_neither_a_right_nor_a_quota(office: Office) -> None:
    office.enter(organizational_unit=office.real.unit())
    with quota(office, 0):
        seen = office.check()
    assert failed(seen) == {"organizationalUnitRights": "adJoinCheckAccessDenied"}
    assert "the domain's quota is 0" in seen["organizationalUnitRights"].detail
    assert {"machineAccountQuota", "adDomainJoin"} <= untried(seen)


def test_a_quota_that_is_used_up(office: Office) -> None:
    office.enter(organizational_unit=office.real.unit())
    made_by(office)
    with quota(office, 1):
        seen = office.check()
        assert failed(seen) == {"machineAccountQuota": "adJoinCheckAccountQuotaExceeded"}
        told = f"ms-DS-MachineAccountQuota of {office.real.domain.name} is 1, 1 made by {office.joiner.name}"
        assert seen["machineAccountQuota"].detail == told
        assert "adDomainJoin" in untried(seen)


def made_by(office: Office) -> None:
    """A computer that the joiner made by the quota, as the directory remembers it."""
    with office.real.as_administrator() as opened:
        base = office.real.domain.distinguished_name
        ldap: Any = opened.ldap
        ldap.search(base, f"(sAMAccountName={short(office)})", attributes=["objectSid"])
        sid = ldap.response[0]["raw_attributes"]["objectSid"][0]
        name = f"Q{short(office)}"[:15]
        attributes = {"sAMAccountName": f"{name}$", "userAccountControl": "4098", "mS-DS-CreatorSID": sid}
        ldap.add(f"CN={name},CN=Computers,{base}", ["computer"], attributes)


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        ("OU=Nowhere,{domain}", "adJoinCheckOrganizationalUnitNotFound"),
        ("OU=CloudPCs,DC=elsewhere,DC=test", "adJoinCheckOrganizationalUnitNotFound"),
        ("OU=CloudPCs", "adJoinCheckOrganizationalUnitIncorrectFormat"),
    ],
)
def test_a_unit_that_is_not_there(office: Office, unit: str, code: str) -> None:
    unit = unit.format(domain=office.real.domain.distinguished_name)
    office.enter(organizational_unit=unit)
    seen = office.check()
    assert failed(seen) == {"organizationalUnitRights": code}
    assert unit in seen["organizationalUnitRights"].detail
    assert {"machineAccountQuota", "adDomainJoin"} <= untried(seen)


def test_the_trial_account_stays_disabled_where_it_may_not_be_deleted(office: Office) -> None:
    """And the next trial uses it again: there is never a second one."""
    left, own = office.real.unit(), office.company.ids["HQ"]
    name = health_trial.name_of(own)
    with office.real.as_administrator() as opened:  # whoever makes one may delete it, so it is of somebody else
        accounts.preset(
            opened, name, left, accounts.one_time_password(), mark=f"deskwright-trial:{own}", description="old"
        )
    joiner = office.real.user()
    may_not_delete(office, joiner, left, f"CN={name},{left}")
    office.enter(organizational_unit=left, ad_domain_username=joiner.name)
    office.password(joiner.password)
    for _ in range(2):
        seen = office.check()
        assert failed(seen) == {}
        assert f"{joiner.name} may not delete it and it stays there, disabled" in seen["adDomainJoin"].detail
        with office.real.as_administrator() as opened:
            computer = accounts.find(opened, name)
        assert computer is not None
        assert not computer.enabled
    shown = connection_view.standing(office.company.world.database, office.company.tenant, own)["trial"]
    assert shown == {"name": name, "distinguishedName": f"CN={name},{left}", "state": "disabled"}


def may_not_delete(office: Office, account: Account, unit: str, computer: str) -> None:
    """Create computers and change them: what many administrators delegate."""
    name, tool = account.name.partition("@")[0], office.real.controller.tool
    shown = tool("user", "show", name, "--attributes=objectSid")
    sid = next(line.split()[1] for line in shown.splitlines() if line.startswith("objectSid:"))
    kind = "bf967a86-0de6-11d0-a285-00aa003049e2"
    rights = f"(OA;CI;CC;{kind};;{sid})(OA;CIIO;RPWPCRSW;;{kind};{sid})"
    tool("dsacl", "set", "--objectdn", unit, "--action=allow", "--sddl", rights)
    tool("dsacl", "set", "--objectdn", computer, "--action=allow", "--sddl", f"(D;;SDDT;;;{sid})")


def test_a_name_that_somebody_else_has_taken(office: Office) -> None:
    name = health_trial.name_of(office.company.ids["HQ"])
    office.real.controller.tool("computer", "create", name)
    seen = office.check()
    assert failed(seen) == {"adDomainJoin": "adJoinCheckComputerObjectAlreadyExists"}
    assert f"CN={name},CN=Computers" in seen["adDomainJoin"].detail


def test_the_service_connection_point(office: Office) -> None:
    """It only warns, unless the site says that it is required."""
    office.company.sql(
        "UPDATE sites SET directory = CAST(:d AS jsonb)",
        d=json.dumps({"kind": "activedirectory", "serviceConnectionPoint": "required"}),
    )
    seen = office.check()
    assert failed(seen) == {"serviceConnectionPoint": "azureAdDeviceSyncCheckScpNotConfigured"}
    with connection_point(office, ["azureADName:contoso.com"]):
        seen = office.check()
        assert failed(seen) == {"serviceConnectionPoint": "azureAdDeviceSyncCheckScpNotConfigured"}
        told = "the service connection point has no azureADId: azureADName:contoso.com"
        assert seen["serviceConnectionPoint"].detail == told
    tenant = str(office.company.tenant.id)
    with connection_point(office, ["azureADName:contoso.com", f"azureADId:{tenant}"]):
        seen = office.check()
        assert seen["serviceConnectionPoint"].detail == f"names contoso.com ({tenant})"
        assert office.health == "passed"


@contextmanager
def connection_point(office: Office, keywords: list[str]) -> Iterator[None]:
    services = f"CN=Services,CN=Configuration,{office.real.domain.distinguished_name}"
    above = f"CN=Device Registration Configuration,{services}"
    own = f"CN=62a0ff2e-97b9-4513-943f-0d221bd30080,{above}"
    with office.real.as_administrator() as opened:
        opened.ldap.add(above, ["container"])  # type: ignore[no-untyped-call]
        opened.ldap.add(own, ["serviceConnectionPoint"], {"keywords": keywords})  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            opened.ldap.delete(own)  # type: ignore[no-untyped-call]
            opened.ldap.delete(above)  # type: ignore[no-untyped-call]


def test_a_synchronisation_that_has_stopped(office: Office) -> None:
    office.company.sql("UPDATE tenants SET clock_offset = clock_offset + 75 * 60")
    late = office.check()["deviceSync"]
    assert (late.status, late.error_code) == ("warning", "azureAdDeviceSyncCheckDurationExceeded")
    assert "75 minutes ago, it runs every 30 minutes" in late.detail
    office.company.sql("UPDATE tenants SET clock_offset = clock_offset + 20 * 60")
    office.company.sql(
        "UPDATE domains SET sync_status = 'failed', sync_error_code = 'accessDenied', sync_detail = 'no'"
    )
    seen = office.check()
    assert failed(seen) == {"deviceSync": "azureAdDeviceSyncCheckDurationExceeded"}
    assert "95 minutes ago" in seen["deviceSync"].detail
    assert "it failed since: accessDenied no" in seen["deviceSync"].detail
    assert office.health == "warning"  # as documented, it never blocks
    office.company.sql("UPDATE domains SET sync_enabled = false")
    assert office.check()["deviceSync"].error_code == "azureAdDeviceSyncCheckConnectDisabled"
    office.company.sql("UPDATE domains SET sync_enabled = true, search_bases = ARRAY['OU=Other,DC=x']")
    outside = office.check()["deviceSync"]
    assert outside.error_code == "azureAdDeviceSyncCheckDeviceNotFound"
    assert office.unit in outside.detail
    assert "OU=Other,DC=x" in outside.detail
