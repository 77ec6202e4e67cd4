"""Service plans and licences: sizes, seats (E6), and who is touched."""

from typing import Any

import pytest

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import audit, groups, licenses, users
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database
from tests.company import Company
from tests.operations.conftest import PLAN, Touched

NAMES = ("adele", "alex", "megan")


@pytest.fixture
def plan(database: Database, contoso: TenantRef, touched: Touched) -> str:
    """Two seats, three people, the last two of them in a group."""
    people = [f"{name}@contoso.com" for name in NAMES]
    for upn in people:
        users.create(database, contoso, "test", user_principal_name=upn)
    groups.create(database, contoso, "test", display_name="Sales", members=people[1:])
    licenses.create_plan(database, contoso, "test", display_name=PLAN, seats=2)
    touched()
    return PLAN


def consumed(database: Database, tenant: TenantRef) -> int:
    (row,) = licenses.list_(database, tenant)
    return int(row["consumedUnits"])


def test_a_plan_gets_its_size_from_its_name_or_as_given(database: Database, contoso: TenantRef) -> None:
    item = licenses.create_plan(database, contoso, "test", display_name=PLAN, seats=3)
    assert (item["vCpuCount"], item["ramInGB"], item["storageInGB"], item["seats"]) == (2, 8, 128, 3)
    own: dict[str, Any] = {"vcpu_count": 4, "ram_gb": 16, "storage_gb": 256}
    assert licenses.create_plan(database, contoso, "test", display_name="Big", seats=0, **own)["vCpuCount"] == 4
    with pytest.raises(Refused, match="vCpuCount"):
        licenses.create_plan(database, contoso, "test", display_name="Which", seats=1)
    with pytest.raises(Refused, match="seats"):
        licenses.create_plan(database, contoso, "test", display_name="Less 2vCPU/8GB/128GB", seats=-1)


def test_e6_a_direct_licence_beyond_the_seats_is_refused_with_the_numbers(
    database: Database, contoso: TenantRef, plan: str, touched: Touched
) -> None:
    """E6"""
    licenses.assign(database, contoso, "test", plan, users=["adele@contoso.com", "alex@contoso.com"])
    assert touched() == ["adele", "alex"]
    with pytest.raises(Refused, match=r"2 seats, 2 consumed, 1 more") as refused:
        licenses.assign(database, contoso, "test", plan, users=["megan@contoso.com"])
    assert refused.value.code == "quotaLimitReached"
    assert touched() == []
    assert consumed(database, contoso) == 2
    # Who holds it already asks for no seat.
    licenses.assign(database, contoso, "test", plan, users=["adele@contoso.com"])
    assert touched() == []


def test_e6_nobody_gets_it_where_not_all_of_them_can(database: Database, contoso: TenantRef, plan: str) -> None:
    """E6"""
    with pytest.raises(Refused, match=r"2 seats, 0 consumed, 3 more"):
        licenses.assign(database, contoso, "test", plan, users=[f"{n}@contoso.com" for n in NAMES])
    assert consumed(database, contoso) == 0


def test_e6_through_a_group_there_may_be_more_than_seats(
    database: Database, contoso: TenantRef, plan: str, touched: Touched
) -> None:
    """E6"""
    licenses.set_plan(database, contoso, "test", plan, seats=1)
    licenses.assign(database, contoso, "test", plan, groups=["Sales"])
    assert touched() == ["alex", "megan"]
    assert consumed(database, contoso) == 2
    with pytest.raises(Refused, match=r"1 seats, 2 consumed, 1 more"):
        licenses.assign(database, contoso, "test", plan, users=["adele@contoso.com"])
    # Directly as well as through the group is one licence (E1), and asks for nothing more.
    licenses.assign(database, contoso, "test", plan, users=["alex@contoso.com"])
    assert consumed(database, contoso) == 2


def test_the_deleted_hold_no_licence(database: Database, contoso: TenantRef, plan: str) -> None:
    licenses.assign(database, contoso, "test", plan, users=["adele@contoso.com", "alex@contoso.com"])
    users.delete(database, contoso, "test", "adele@contoso.com")
    assert consumed(database, contoso) == 1
    licenses.assign(database, contoso, "test", plan, users=["megan@contoso.com"])


def test_removing_touches_those_who_had_it(database: Database, contoso: TenantRef, plan: str, touched: Touched) -> None:
    licenses.assign(database, contoso, "test", plan, users=["adele@contoso.com"], groups=["Sales"])
    touched()
    item = licenses.remove(database, contoso, "test", plan, users=["alex@contoso.com", "adele@contoso.com"])
    assert item["users"] == ["adele@contoso.com"]
    assert touched() == ["adele"]
    licenses.remove(database, contoso, "test", plan, groups=["Sales"])
    assert touched() == ["alex", "megan"]
    (written, *_) = audit.list_(database, contoso)
    assert (written["before"], written["after"]) == ({"users": [], "groups": ["Sales"]}, None)
    assert [u["userPrincipalName"] for u in licenses.holders(database, contoso, plan)] == []


def test_a_plan_in_anyones_hands_is_not_deleted(database: Database, contoso: TenantRef, plan: str) -> None:
    licenses.assign(database, contoso, "test", plan, groups=["Sales"])
    with pytest.raises(Refused, match="0 users and 1 groups"):
        licenses.delete_plan(database, contoso, "test", plan)
    licenses.remove(database, contoso, "test", plan, groups=["Sales"])
    licenses.delete_plan(database, contoso, "test", plan)
    with pytest.raises(NotFound):
        licenses.show_plan(database, contoso, plan)


def test_e6_more_seats_start_those_who_wait(company: Company) -> None:
    """E6"""
    company.basics("adele", "alex", "megan")
    database, tenant = company.world.database, company.tenant
    licenses.set_plan(database, tenant, "test", PLAN, seats=1)
    company.settle()
    assert [company.status(n) for n in NAMES] == ["provisioned", "pendingProvision", "pendingProvision"]
    assert licenses.set_plan(database, tenant, "test", PLAN, seats=2)["seatsInUse"] == 2
    company.settle()
    assert [company.status(n) for n in NAMES] == ["provisioned", "provisioned", "pendingProvision"]
    # Fewer take nothing from anyone.
    licenses.set_plan(database, tenant, "test", PLAN, seats=0)
    company.settle()
    assert company.status("alex") == "provisioned"
    licenses.remove(database, tenant, "test", PLAN, groups=["Sales"], confirmed=True)
    with pytest.raises(Refused, match="Set its seats to 0"):
        licenses.delete_plan(database, tenant, "test", PLAN)
