"""Users and groups: what each operation does, whom it touches, what it refuses, what it writes down."""

import pytest

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import assignments, audit, groups, licenses, policies, users
from deskwright.operations.change import TenantRef
from deskwright.operations.named import cursor
from deskwright.operations.users import USER
from deskwright.store.database import Database
from tests.operations.conftest import PLAN, Touched


@pytest.fixture
def people(database: Database, contoso: TenantRef, touched: Touched) -> list[str]:
    names = [f"{name}@contoso.com" for name in ("adele", "alex", "megan")]
    for upn in names:
        users.create(database, contoso, "test", user_principal_name=upn)
    touched()
    return names


def test_a_new_user_is_written_down_and_touches_nobody(
    database: Database, contoso: TenantRef, touched: Touched
) -> None:
    item = users.create(
        database, contoso, "anna", user_principal_name=" Adele@contoso.com ", display_name="Adele Vance"
    )
    assert (item["userPrincipalName"], item["displayName"]) == ("Adele@contoso.com", "Adele Vance")
    assert item["accountEnabled"]
    assert touched() == []
    (written, *_) = audit.list_(database, contoso)
    assert (written["actor"], written["activity"], written["resourceId"]) == ("anna", "Create user", item["id"])
    assert written["before"] is None
    assert written["after"]["userPrincipalName"] == "Adele@contoso.com"


@pytest.mark.parametrize("upn", ["", "adele", "a b@contoso.com", "a@b@c", "@contoso.com"])
def test_a_user_needs_a_principal_name(database: Database, contoso: TenantRef, upn: str) -> None:
    with pytest.raises(Refused, match="userPrincipalName"):
        users.create(database, contoso, "test", user_principal_name=upn)
    assert users.list_(database, contoso) == []


def test_names_are_unique_whatever_their_case(database: Database, contoso: TenantRef, people: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        users.create(database, contoso, "test", user_principal_name="ADELE@contoso.com")
    assert refused.value.code == "nameAlreadyExists"
    with pytest.raises(Refused, match="already"):
        users.set_(database, contoso, "test", "alex@contoso.com", user_principal_name="Megan@contoso.com")
    # Its own name in another case is no other.
    assert users.set_(database, contoso, "test", people[0], user_principal_name="Adele@contoso.com")


def test_a_user_is_found_by_name_in_any_case_and_by_id(
    database: Database, contoso: TenantRef, people: list[str]
) -> None:
    by_name = users.show(database, contoso, "ADELE@Contoso.com")
    assert users.show(database, contoso, by_name["id"]) == by_name
    with pytest.raises(NotFound, match="deskwright user list"):
        users.show(database, contoso, "nobody@contoso.com")


def test_e1_disabling_touches_exactly_that_user(
    database: Database, contoso: TenantRef, people: list[str], touched: Touched
) -> None:
    """E1"""
    users.set_(database, contoso, "test", people[1], account_enabled=False)
    assert touched() == ["alex"]
    users.set_(database, contoso, "test", people[1], account_enabled=False)
    assert touched() == []
    users.set_(database, contoso, "test", people[1], display_name="Alex Wilber")
    assert touched() == []
    (named, *_) = audit.list_(database, contoso)
    assert (named["before"], named["after"]) == ({"displayName": "alex"}, {"displayName": "Alex Wilber"})


def test_a_change_that_changes_nothing_is_not_written_down(
    database: Database, contoso: TenantRef, people: list[str]
) -> None:
    before = len(audit.list_(database, contoso))
    users.set_(database, contoso, "test", people[0], display_name="adele", account_enabled=True)
    users.set_(database, contoso, "test", people[0], on_premises_user_principal_name="")
    assert len(audit.list_(database, contoso)) == before


def test_a_deleted_user_comes_back_with_everything(
    database: Database, contoso: TenantRef, people: list[str], touched: Touched
) -> None:
    groups.create(database, contoso, "test", display_name="Sales", members=people[:1])
    users.delete(database, contoso, "test", people[0])
    assert touched() == ["adele"]
    assert [u["userPrincipalName"] for u in users.list_(database, contoso)] == people[1:]
    assert [u["userPrincipalName"] for u in users.list_(database, contoso, deleted=True)] == people[:1]
    with pytest.raises(NotFound):
        users.delete(database, contoso, "test", people[0])
    users.restore(database, contoso, "test", "ADELE@contoso.com")
    assert touched() == ["adele"]
    assert [g["displayName"] for g in users.show(database, contoso, people[0])["groups"]] == ["Sales"]


def test_a_user_cannot_come_back_to_a_name_that_is_taken(
    database: Database, contoso: TenantRef, people: list[str]
) -> None:
    users.delete(database, contoso, "test", people[0])
    users.create(database, contoso, "test", user_principal_name=people[0])
    with pytest.raises(Refused, match="already"):
        users.restore(database, contoso, "test", people[0])


def test_pages_repeat_and_miss_nothing(database: Database, contoso: TenantRef, people: list[str]) -> None:
    for name in ("Zoe", "bert", "Ærøskøbing", "chris:1"):
        users.create(database, contoso, "test", user_principal_name=f"{name}@contoso.com")
    everyone = users.list_(database, contoso)
    seen, after = [], None
    while page := users.list_(database, contoso, after, 2):
        seen += page
        after = cursor(USER, page[-1])
    assert seen == everyone
    assert len(everyone) == 7
    # A page continues also where its last object is gone.
    after = cursor(USER, everyone[1])
    users.delete(database, contoso, "test", everyone[1]["id"])
    assert users.list_(database, contoso, after) == everyone[2:]
    for wrong in (0, 100_000):
        with pytest.raises(Refused, match="limit"):
            users.list_(database, contoso, limit=wrong)
    with pytest.raises(Refused, match="after"):
        users.list_(database, contoso, after="x")


@pytest.fixture
def sales(database: Database, contoso: TenantRef, people: list[str], touched: Touched) -> str:
    """A group that is licensed and has a policy, with two members."""
    groups.create(database, contoso, "test", display_name="Sales", members=people[:2])
    licenses.create_plan(database, contoso, "test", display_name=PLAN, seats=5)
    licenses.assign(database, contoso, "test", PLAN, groups=["Sales"])
    policies.create(
        database,
        contoso,
        "test",
        display_name="Desktops",
        region_group="europeUnion",
        gallery_image="debian-12-desktop",
        groups=["Sales"],
    )
    touched()
    return "Sales"


def test_membership_touches_exactly_those_whose_membership_changed(
    database: Database, contoso: TenantRef, people: list[str], sales: str, touched: Touched
) -> None:
    item = groups.add_members(database, contoso, "test", sales, [people[2], people[0], people[2]])
    assert item["added"] == [people[2]]
    assert touched() == ["megan"]
    item = groups.remove_members(database, contoso, "test", sales, [people[0]])
    assert item["removed"] == [people[0]]
    assert touched() == ["adele"]
    assert groups.remove_members(database, contoso, "test", sales, [people[0]])["removed"] == []
    assert touched() == []
    assert [u["userPrincipalName"] for u in groups.members(database, contoso, sales)] == people[1:]


def test_a_group_that_brings_nothing_touches_nobody(
    database: Database, contoso: TenantRef, people: list[str], touched: Touched
) -> None:
    groups.create(database, contoso, "test", display_name="Choir", members=people)
    groups.remove_members(database, contoso, "test", "Choir", people[:1])
    assert touched() == []


def test_an_unknown_member_is_refused_and_nobody_is_added(
    database: Database, contoso: TenantRef, people: list[str], sales: str, touched: Touched
) -> None:
    with pytest.raises(NotFound, match="nobody"):
        groups.add_members(database, contoso, "test", sales, [people[2], "nobody@contoso.com"])
    assert touched() == []
    assert len(groups.members(database, contoso, sales)) == 2


def test_deleting_a_group_touches_its_members_and_keeps_what_it_was(
    database: Database, contoso: TenantRef, people: list[str], sales: str, touched: Touched
) -> None:
    shown = groups.show(database, contoso, sales)
    assert (shown["memberCount"], shown["servicePlans"]) == (2, [PLAN])
    groups.delete(database, contoso, "test", sales)
    assert touched() == ["adele", "alex"]
    (written, *_) = audit.list_(database, contoso)
    assert written["before"]["members"] == people[:2]
    assert written["before"]["provisioningPolicies"] == ["Desktops"]
    assert policies.show(database, contoso, "Desktops")["assignments"] == []
    with pytest.raises(NotFound):
        assignments.assign(database, contoso, "test", "Desktops", [sales])


def test_a_group_has_a_kind_and_a_name(database: Database, contoso: TenantRef) -> None:
    item = groups.create(database, contoso, "test", display_name="Team", kind="microsoft365")
    assert (item["groupTypes"], item["securityEnabled"]) == (["Unified"], False)
    with pytest.raises(Refused, match="security, microsoft365"):
        groups.create(database, contoso, "test", display_name="Other", kind="distribution")
    with pytest.raises(Refused, match="already"):
        groups.create(database, contoso, "test", display_name="TEAM")
    assert groups.set_(database, contoso, "test", "team", display_name="Crew")["displayName"] == "Crew"
