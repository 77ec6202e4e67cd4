"""Roles held through groups: counted wherever roles are, gone with the membership, and safe for the last one."""

from collections.abc import Callable
from uuid import UUID

import pytest

from deskwright.domain.rules import Refused
from deskwright.identity import sessions, tokens
from deskwright.identity.apps import COMMAND_LINE, built_in
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.identity.tokens import Person
from deskwright.operations import (
    groups,
    guests,
    invitations,
    own_cloud_pcs,
    role_assignments,
    role_groups,
    roles,
    user_view,
    users,
)
from tests.company import Company

ADELE = "adele@contoso.com"


@pytest.fixture
def adele(company: Company) -> UUID:
    """In the group Admins, which holds no role yet."""
    company.group("Admins")
    company.user("adele")
    company.join("adele", "Admins")
    return company.ids["adele"]


@pytest.fixture
def change(company: Company) -> tuple[object, ...]:
    return company.world.database, company.tenant, "test"


def everywhere(company: Company, user: UUID) -> set[str]:
    """The roles that a person has by each of the ways that ask; an error where they differ."""
    database, secrets, tenant = company.world.database, company.world.secrets, company.tenant
    session = sessions.find(database, sessions.begin(database, tenant.id, user))
    assert session is not None
    app = built_in(COMMAND_LINE)
    assert app is not None
    token = tokens.issue(
        database, secrets, base="http://here", tenant=tenant.id, app=app, permissions=["User.Read"],
        user=Person(user, ADELE, "adele"),
    )  # fmt: skip
    called = set(tokens.authenticate(database, secrets, f"Bearer {token}").roles)
    with database.single.connect() as connection:
        shown = set(user_view.about(connection, tenant, user)["roles"])
        listed = {role for _, _, role in guests.tenants_of(connection, user)}
    place = session.places.get("contoso.com")
    strongest = ADMINISTRATOR if ADMINISTRATOR in called else READER if called else None
    assert (place.role if place else None) == strongest
    assert called == shown == listed
    return called


def test_who_is_in_the_group_holds_its_role_everywhere(company: Company, adele: UUID) -> None:
    database, tenant = company.world.database, company.tenant
    assert everywhere(company, adele) == set()
    item = role_groups.assign(database, tenant, "test", "administrator", "admins")
    assert (item["groupDisplayName"], item["role"]) == ("Admins", ADMINISTRATOR)
    assert role_groups.assign(database, tenant, "test", ADMINISTRATOR, "Admins") == item, "harmless"
    assert everywhere(company, adele) == {ADMINISTRATOR}
    roles.assign(database, tenant, "test", ADMINISTRATOR, ADELE)
    roles.assign(database, tenant, "test", READER, ADELE)
    assert everywhere(company, adele) == {ADMINISTRATOR, READER}, "each once"
    roles.unassign(database, tenant, "test", ADMINISTRATOR, ADELE)
    roles.unassign(database, tenant, "test", READER, ADELE)
    assert everywhere(company, adele) == {ADMINISTRATOR}
    role_groups.unassign(database, tenant, "test", ADMINISTRATOR, "Admins")
    assert everywhere(company, adele) == set()
    activities = company.sql("SELECT activity FROM audit_events WHERE object_name = 'Admins' ORDER BY id")
    assert [a.activity for a in activities] == ["Assign role", "Unassign role"]


def test_leaving_the_group_ends_the_role_at_once(company: Company, adele: UUID) -> None:
    database, tenant = company.world.database, company.tenant
    role_groups.assign(database, tenant, "test", READER, "Admins")
    cookie = sessions.begin(database, tenant.id, adele)
    groups.remove_members(database, tenant, "test", "Admins", [ADELE])
    session = sessions.find(database, cookie)
    assert session is not None
    assert session.places == {}
    assert everywhere(company, adele) == set()
    groups.add_members(database, tenant, "test", "Admins", [ADELE])
    assert everywhere(company, adele) == {READER}
    groups.delete(database, tenant, "test", "Admins")
    assert everywhere(company, adele) == set()
    assert company.sql("SELECT 1 FROM role_groups") == []


def test_people_through_groups_are_told_with_their_groups(company: Company, adele: UUID) -> None:
    database, tenant = company.world.database, company.tenant
    company.group("Desk")
    company.join("adele", "Desk")
    company.user("alex")
    company.join("alex", "Desk")
    for group in ("Desk", "Admins"):
        role_groups.assign(database, tenant, "test", READER, group)
    told = [(p["userPrincipalName"], p["groups"], p["of"]) for p in role_groups.people(database, tenant)]
    assert told == [(ADELE, ["Admins", "Desk"], 2), ("alex@contoso.com", ["Desk"], 2)]
    assert [p["of"] for p in role_groups.people(database, tenant, most=1)] == [2]
    assert [p["userPrincipalName"] for p in role_groups.people(database, tenant, user=str(adele))] == [ADELE]
    assert [(g["groupDisplayName"], g["members"]) for g in role_groups.list_(database, tenant)] == [
        ("Admins", 1),
        ("Desk", 2),
    ]
    users.delete(database, tenant, "test", ADELE)
    assert [p["userPrincipalName"] for p in role_groups.people(database, tenant)] == ["alex@contoso.com"]
    with pytest.raises(Refused, match=r"does not hold it by themselves\. They hold it through Desk: take them out of"):
        roles.unassign(database, tenant, "test", READER, "alex@contoso.com")


def _leave(company: Company) -> list[Callable[[], object]]:
    """Every way by which adele can end being administrator through the group Admins."""
    where = company.world.database, company.tenant, ADELE
    ((assignment,),) = company.sql("SELECT assignment_id FROM role_groups")
    return [
        lambda: role_groups.unassign(*where, ADMINISTRATOR, "Admins"),
        lambda: groups.remove_members(*where, "Admins", [ADELE]),
        lambda: groups.delete(*where, "Admins"),
        lambda: users.set_(*where, ADELE, account_enabled=False),
        lambda: users.delete(*where, ADELE),
        lambda: role_assignments.delete(*where, assignment),
        lambda: role_assignments.set_(*where, assignment, principals=[str(company.ids["Empty"])]),
    ]


def test_the_last_administrator_through_a_group_stays(company: Company, adele: UUID) -> None:
    database, tenant = company.world.database, company.tenant
    role_groups.assign(database, tenant, "test", ADMINISTRATOR, "Admins")
    company.group("Empty")
    for leave in _leave(company):
        with pytest.raises(Refused, match=r"is the last administrator of contoso\.com"):
            leave()
    assert everywhere(company, adele) == {ADMINISTRATOR}
    groups.remove_members(database, tenant, "somebody else", "Admins", [ADELE])
    groups.add_members(database, tenant, "test", "Admins", [ADELE])


@pytest.mark.parametrize("way", range(7))
def test_who_is_not_the_last_may_go(company: Company, adele: UUID, way: int) -> None:
    database, tenant = company.world.database, company.tenant
    role_groups.assign(database, tenant, "test", ADMINISTRATOR, "Admins")
    company.group("Empty")
    company.user("other")
    roles.assign(database, tenant, "test", ADMINISTRATOR, "other@contoso.com")
    _leave(company)[way]()


def test_one_way_to_hold_it_may_end_while_another_stays(company: Company, adele: UUID) -> None:
    database, tenant = company.world.database, company.tenant
    role_groups.assign(database, tenant, "test", ADMINISTRATOR, "Admins")
    roles.assign(database, tenant, "test", ADMINISTRATOR, ADELE)
    roles.unassign(database, tenant, ADELE, ADMINISTRATOR, ADELE)
    assert everywhere(company, adele) == {ADMINISTRATOR}


def test_administrators_through_groups_are_people_to_turn_to(company: Company, adele: UUID) -> None:
    database, tenant = company.world.database, company.tenant
    role_groups.assign(database, tenant, "test", ADMINISTRATOR, "Admins")
    asks = company.user("asks")
    with database.single.connect() as connection:
        told = connection.execute(
            own_cloud_pcs._CONTACTS, {"tenant": tenant.id, "role": ADMINISTRATOR, "user": asks, "most": 5}
        ).all()
    assert [row.mail for row in told] == [ADELE]


def test_an_administrator_through_a_group_who_has_a_password_is_the_first_one(company: Company, adele: UUID) -> None:
    from deskwright.operations import credentials

    database, tenant = company.world.database, company.tenant
    role_groups.assign(database, tenant, "test", ADMINISTRATOR, "Admins")
    credentials.set_password(database, tenant, "test", ADELE, "correct horse battery")
    assert invitations.first_administrator(database, tenant, "test", base="http://here") is None


def test_a_group_of_another_tenant_gives_nothing_here(company: Company, adele: UUID) -> None:
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('other.example') RETURNING id")
    ((group,),) = company.sql(
        "INSERT INTO groups (tenant_id, display_name) VALUES (:other, 'Admins') RETURNING id", other=other
    )
    with pytest.raises(Refused, match="no such object in this tenant"):
        role_groups.assign(company.world.database, company.tenant, "test", READER, str(group))
    # Not even where a row says so that nobody could write.
    company.sql(
        "INSERT INTO role_groups (tenant_id, role, group_id) VALUES (:other, :r, :g)",
        other=other,
        r=READER,
        g=company.ids["Admins"],
    )
    assert everywhere(company, adele) == set()
