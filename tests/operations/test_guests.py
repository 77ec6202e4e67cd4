"""Section 5: a person of one tenant may hold a role in another; nothing else of them crosses."""

from uuid import UUID

import pytest

from deskwright.domain.rules import NotFound, Refused
from deskwright.identity import sessions
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import audit, guests, roles, tenants, users
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database

MSP = "kim@msp.example"


def tenant_with(database: Database, name: str, *upns: str) -> TenantRef:
    tenants.create(database, "test", name, default_simulated_sites=False)
    found = tenants.find(database, name)
    for upn in upns:
        users.create(database, found, "test", user_principal_name=upn)
    return found


@pytest.fixture
def msp(database: Database) -> TenantRef:
    return tenant_with(database, "msp.example", MSP)


def id_of(database: Database, tenant: TenantRef, upn: str) -> str:
    return str(users.show(database, tenant, upn)["id"])


def held(database: Database, tenant: TenantRef, upn: str) -> list[tuple[str, str]]:
    with database.single.connect() as connection:
        found = guests.tenants_of(connection, UUID(id_of(database, tenant, upn)))
    return [(name, role) for _, name, role in found]


def test_a_guest_role_is_given_changed_and_taken(database: Database, contoso: TenantRef, msp: TenantRef) -> None:
    here = database, contoso, "test"
    roles.assign(database, msp, "test", "reader", MSP)
    item = guests.assign(*here, "administrator", MSP.upper())
    assert (item["userPrincipalName"], item["role"], item["tenant"]) == (MSP, ADMINISTRATOR, "msp.example")
    assert guests.assign(*here, "administrator", MSP) == item, "harmless"
    assert guests.list_(database, contoso) == [item]
    assert guests.list_(database, msp) == []
    assert held(database, msp, MSP) == [("contoso.com", ADMINISTRATOR), ("msp.example", READER)]
    guests.assign(*here, "reader", MSP)
    assert held(database, msp, MSP) == [("contoso.com", READER), ("msp.example", READER)]
    with pytest.raises(NotFound):
        guests.unassign(*here, "administrator", MSP)
    guests.unassign(*here, "reader", MSP)
    assert held(database, msp, MSP) == [("msp.example", READER)]
    with pytest.raises(NotFound):
        guests.unassign(*here, "reader", MSP)


def test_it_is_audited_where_it_counts(database: Database, contoso: TenantRef, msp: TenantRef) -> None:
    before = len(audit.list_(database, msp))
    guests.assign(database, contoso, "test", "reader", MSP)
    guests.assign(database, contoso, "test", "administrator", MSP)
    guests.unassign(database, contoso, "test", "administrator", MSP)
    told = audit.list_(database, contoso, resource=MSP)
    assert [e["activity"] for e in told] == ["Unassign guest role", "Assign guest role", "Assign guest role"]
    assert (told[1]["before"]["role"], told[1]["after"]["role"]) == (READER, ADMINISTRATOR)
    assert len(audit.list_(database, msp)) == before


def test_who_is_refused_and_the_way_out(database: Database, contoso: TenantRef, msp: TenantRef) -> None:
    here = database, contoso, "test"
    tenant_with(database, "a.example", "lee@shared.example")
    tenant_with(database, "b.example", "lee@shared.example")
    users.create(*here, user_principal_name="adele@contoso.com")
    with pytest.raises(Refused, match="role assign"):
        guests.assign(*here, "reader", "adele@contoso.com")
    with pytest.raises(Refused, match="nobody"):
        guests.assign(*here, "reader", "nobody@msp.example")
    with pytest.raises(Refused, match="several people") as ambiguous:
        guests.assign(*here, "reader", "lee@shared.example")
    assert "a.example" not in str(ambiguous.value), "who asks may know nothing of those tenants"
    with pytest.raises(Refused, match="is no role"):
        guests.assign(*here, "king", MSP)
    with pytest.raises(Refused, match="nobody"):
        guests.assign(*here, "reader", id_of(database, msp, MSP))
    users.delete(database, msp, "test", MSP)
    with pytest.raises(Refused, match="nobody"):
        guests.assign(*here, "reader", MSP)
    assert guests.list_(database, contoso) == []


def test_a_tenant_sees_its_own_guests_only(database: Database, contoso: TenantRef, msp: TenantRef) -> None:
    other = tenant_with(database, "fabrikam.com")
    guests.assign(database, contoso, "test", "reader", MSP)
    assert guests.list_(database, other) == []
    with pytest.raises(NotFound):
        guests.unassign(database, other, "test", "reader", MSP)
    with pytest.raises(NotFound):
        guests.unassign(database, other, "test", "reader", id_of(database, msp, MSP))
    assert len(guests.list_(database, contoso)) == 1


def test_a_deleted_guest_is_none_and_can_be_taken_off_by_id(
    database: Database, contoso: TenantRef, msp: TenantRef
) -> None:
    key = id_of(database, msp, MSP)
    guests.assign(database, contoso, "test", "reader", MSP)
    users.delete(database, msp, "test", MSP)
    assert guests.list_(database, contoso) == []
    guests.unassign(database, contoso, "test", "reader", key)
    users.restore(database, msp, "test", MSP)
    assert guests.list_(database, contoso) == []


def test_their_session_has_the_role_at_once(database: Database, contoso: TenantRef, msp: TenantRef) -> None:
    token = sessions.begin(database, msp.id, UUID(id_of(database, msp, MSP)))

    def places() -> dict[str, str]:
        session = sessions.find(database, token)
        assert session is not None
        return {name: place.role for name, place in session.places.items()}

    assert places() == {}
    guests.assign(database, contoso, "test", "reader", MSP)
    assert places() == {"contoso.com": READER}
    guests.unassign(database, contoso, "test", "reader", MSP)
    assert places() == {}
