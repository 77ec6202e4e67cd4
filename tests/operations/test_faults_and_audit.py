"""Faults, user settings, the audit log and the overview."""

from typing import Any

import pytest

from deskwright.domain.rules import NotFound, Refused
from deskwright.errors import CATALOGUE
from deskwright.operations import audit, faults, groups, overview, user_settings, users
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database
from tests.company import Company
from tests.operations.conftest import Touched


def test_a_fault_is_added_listed_and_cleared(database: Database, contoso: TenantRef) -> None:
    users.create(database, contoso, "test", user_principal_name="alex@contoso.com")
    given: dict[str, Any] = {
        "step": "C4",
        "code": "joinDomainFailed",
        "user": "ALEX@contoso.com",
        "attempts": [2, 1, 1],
    }
    one = faults.add(database, contoso, "test", **given)
    assert (one["user"], one["attempts"], one["rate"]) == ("alex@contoso.com", [1, 2], 1.0)
    other = faults.add(database, contoso, "test", step="C2", code="delay", delay_seconds=30, rate=0.5)
    assert faults.list_(database, contoso) == [one, other]
    assert faults.list_(database, contoso, one["id"], 1) == [other]
    assert faults.clear(database, contoso, "test", one["id"]) == [one]
    with pytest.raises(NotFound, match="fault"):
        faults.clear(database, contoso, "test", one["id"])
    assert faults.clear(database, contoso, "test") == [other]
    assert faults.list_(database, contoso) == []


def test_every_code_of_the_catalogue_can_be_asked_for_at_its_steps(database: Database, contoso: TenantRef) -> None:
    for code, entry in CATALOGUE.items():
        for step in entry.steps:
            faults.check(step, code)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"step": "C9"}, "faults.step 'C9': must be one of: C1"),
        ({"step": "health:nonsense"}, "faults.step"),
        ({"code": "nonsense"}, "faults.code 'nonsense': step C4 can fail with: "),
        ({"code": "noEnoughIpAddress"}, "step C4"),
        ({"attempts": [0]}, "attempts"),
        ({"rate": 0}, "rate"),
        ({"rate": 1.5}, "rate"),
        ({"delay_seconds": -1}, "delaySeconds"),
        ({"code": "delay"}, "a delay needs its length"),
        ({"user": "nobody@contoso.com"}, "nobody"),
        ({"policy": "None"}, "provisioningPolicy 'None'"),
    ],
)
def test_a_fault_that_could_never_happen_is_refused(
    database: Database, contoso: TenantRef, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        faults.add(database, contoso, "test", **{"step": "C4", "code": "joinDomainFailed", **given})
    assert faults.list_(database, contoso) == []


def test_a_user_setting_is_assigned_to_groups_and_touches_nobody(
    database: Database, contoso: TenantRef, touched: Touched
) -> None:
    users.create(database, contoso, "test", user_principal_name="alex@contoso.com")
    for name in ("Sales", "Legal"):
        groups.create(database, contoso, "test", display_name=name, members=["alex@contoso.com"])
    item = user_settings.create(
        database, contoso, "test", display_name="Admins", local_admin_enabled=True, groups=["Sales"]
    )
    assert item["restorePointSetting"]["frequencyType"] == "twelveHours"
    item = user_settings.set_assignments(database, contoso, "test", "admins", ["Legal"])
    assert [a["groupDisplayName"] for a in item["assignments"]] == ["Legal"]
    item = user_settings.set_(database, contoso, "test", "Admins", local_admin_enabled=False, restore_frequency_hours=4)
    assert user_settings.show(database, contoso, "Admins") == item
    assert (item["localAdminEnabled"], item["restorePointSetting"]["frequencyType"]) == (False, "fourHours")
    with pytest.raises(Refused, match="frequencyInHours 5"):
        user_settings.set_(database, contoso, "test", "Admins", restore_frequency_hours=5)
    user_settings.delete(database, contoso, "test", "Admins")
    assert user_settings.list_(database, contoso) == []
    assert touched() == []


def test_the_audit_log_is_read_in_bounded_pages_by_id(database: Database, contoso: TenantRef) -> None:
    for number in range(5):
        groups.create(database, contoso, f"actor{number % 2}", display_name=f"Group {number}")
    everything = audit.list_(database, contoso)
    ids = [e["id"] for e in everything]
    assert ids == sorted(ids, reverse=True)
    assert audit.list_(database, contoso, limit=2) == everything[:2]
    assert audit.list_(database, contoso, before=ids[1]) == everything[2:]
    assert audit.list_(database, contoso, after=ids[2], limit=1) == [everything[1]]
    assert [e["displayName"] for e in audit.list_(database, contoso, resource="group 3")] == ["Group 3"]
    assert {e["actor"] for e in audit.list_(database, contoso, actor="actor1")} == {"actor1"}
    assert audit.list_(database, contoso, resource=everything[0]["resourceId"]) == everything[:1]
    assert {e["resourceType"] for e in audit.list_(database, contoso, resource_type="group")} == {"group"}
    assert audit.show(database, contoso, ids[0]) == everything[0]
    with pytest.raises(Refused, match="limit"):
        audit.list_(database, contoso, limit=10_000)
    with pytest.raises(NotFound):
        audit.show(database, contoso, 10**9)


def test_the_overview_counts_what_there_is(company: Company) -> None:
    company.basics("adele", "alex", connections=("HQ",))
    company.sql("UPDATE service_plans SET seats = 1 WHERE tenant_id = :tenant")
    company.settle()
    seen = overview.overview(company.world.database, company.tenant)
    assert {k: v for k, v in seen["cloudPCs"].items() if v} == {"provisioned": 1, "pendingProvision": 1}
    assert seen["waitingFor"] == {"seat": 1}
    (plan,) = seen["servicePlans"]
    assert (plan["seats"], plan["seatsInUse"], plan["waiting"]) == (1, 1, 1)
    assert seen["onPremisesConnections"] == {"passed": 1}
    assert (seen["users"], seen["groups"], seen["sites"], seen["provisioningPolicies"]) == (2, 1, 1, 1)
