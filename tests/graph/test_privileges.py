"""What a permission does not open: the sign-in of people who may do more, and directory objects of other kinds."""

from uuid import UUID

import pytest

from deskwright.graph import app as graph_app
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import credentials, role_groups, roles
from tests.company import Company
from tests.graph.conftest import Graph

PASSWORD = {"passwordProfile": {"password": "a taken-over account", "forceChangePasswordNextSignIn": False}}


@pytest.fixture
def ann(company: Company) -> UUID:
    """An administrator of Cloud PCs, who can sign in."""
    company.user("adele")
    made = company.user("ann")
    change = company.world.database, company.tenant, "test"
    credentials.set_password(*change, "ann@contoso.com", "correct horse battery")
    roles.assign(*change, ADMINISTRATOR, "ann@contoso.com")
    return made


def _hash(company: Company) -> str:
    (row,) = company.sql("SELECT password_hash FROM user_credentials")
    return str(row.password_hash)


@pytest.mark.parametrize("change", [PASSWORD, {"userPrincipalName": "gone@contoso.com"}, {"accountEnabled": False}])
@pytest.mark.parametrize("role", [ADMINISTRATOR, READER])
def test_who_may_change_users_only_does_not_get_at_the_sign_in_of_who_holds_a_role(
    graph: Graph, company: Company, ann: UUID, role: str, change: dict[str, object]
) -> None:
    company.sql("UPDATE role_assignments SET role = :role", role=role)
    before, lesser = _hash(company), graph.as_(permissions=frozenset({"Directory.ReadWrite.All", "User.ReadWrite.All"}))
    answer = lesser.patch(f"/users/{ann}", change)
    assert (answer.status, answer.code) == (403, "Authorization_RequestDenied")
    assert role in answer.body["error"]["message"]
    assert _hash(company) == before
    assert lesser.get(f"/users/{ann}?$select=userPrincipalName,accountEnabled").body["accountEnabled"] is True
    assert lesser.delete(f"/users/{ann}").status == 403
    assert lesser.patch(f"/users/{ann}", {"displayName": "Ann", "jobTitle": "Desktops"}).status == 204
    assert lesser.patch("/users/adele@contoso.com", change).status == 204


def test_a_token_of_an_administrator_for_users_alone_does_not_either(graph: Graph, company: Company, ann: UUID) -> None:
    narrow = graph.as_user(ann, "ann@contoso.com", ADMINISTRATOR).as_(permissions=frozenset({"User.ReadWrite.All"}))
    assert narrow.patch(f"/users/{ann}", PASSWORD).status == 403


@pytest.mark.parametrize("also", ["RoleManagement.ReadWrite.CloudPC", "CloudPC.ReadWrite.All"])
def test_who_may_give_the_role_may_reset_its_holders(graph: Graph, company: Company, ann: UUID, also: str) -> None:
    before, greater = _hash(company), graph.as_(permissions=frozenset({"User.ReadWrite.All", also}))
    assert greater.patch(f"/users/{ann}", PASSWORD).status == 204
    assert _hash(company) != before
    assert greater.delete(f"/users/{ann}").status == 204


def test_who_may_change_groups_only_gives_nobody_a_role_by_one(graph: Graph, company: Company, ann: UUID) -> None:
    admins, adele = company.group("Admins"), company.ids["adele"]
    role_groups.assign(company.world.database, company.tenant, "test", ADMINISTRATOR, "Admins")
    company.join("ann", "Admins")
    wide = frozenset({"Directory.ReadWrite.All", "Group.ReadWrite.All", "GroupMember.ReadWrite.All"})
    lesser = graph.as_(permissions=wide)
    body = {"@odata.id": f"https://here/v1.0/directoryObjects/{adele}"}
    refused = [
        lesser.post(f"/groups/{admins}/members/$ref", body),
        lesser.delete(f"/groups/{admins}/members/{ann}/$ref"),
        lesser.patch(f"/groups/{admins}", {"members@odata.bind": [body["@odata.id"]]}),
        lesser.delete(f"/groups/{admins}"),
    ]
    for answer in refused:
        assert (answer.status, answer.code) == (403, "Authorization_RequestDenied")
        assert ADMINISTRATOR in answer.body["error"]["message"]
    assert lesser.patch(f"/groups/{admins}", {"description": "x"}).status == 204
    assert company.sql("SELECT user_id FROM memberships") == [(ann,)]
    company.sql("DELETE FROM role_assignments")
    assert lesser.patch(f"/users/{ann}", PASSWORD).status == 403, "she holds the role by the group still"
    greater = graph.as_(permissions=wide | {"RoleManagement.ReadWrite.CloudPC"})
    assert greater.post(f"/groups/{admins}/members/$ref", body).status == 204


def test_objects_by_id_are_told_to_whom_their_own_set_would_tell_them(graph: Graph, company: Company) -> None:
    adele, sales = company.user("adele"), company.group("Sales")
    everything = {"ids": [str(adele), str(sales), str(company.tenant.id)]}

    def told(*permissions: str) -> list[str]:
        return [str(o["id"]) for o in graph.as_(permissions=frozenset(permissions)).post(path, everything).values]

    path = "/directoryObjects/getByIds"
    assert told("Directory.Read.All") == everything["ids"]
    assert told("Device.Read.All") == []
    assert told("User.Read.All") == [str(adele), str(company.tenant.id)]  # as GET /organization does
    assert told("GroupMember.Read.All") == told("Group.Read.All") == [str(sales)]
    devices_only = graph.as_(permissions=frozenset({"Device.Read.All"}))
    assert devices_only.get(f"/directoryObjects/{adele}").status == 404


def test_a_body_that_does_not_come_is_the_clients_fault(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(_request: object) -> bytes:
        raise TimeoutError

    monkeypatch.setattr(graph_app, "_read", late)
    answer = graph.post("/users", {})
    assert (answer.status, answer.code) == (408, "RequestTimeout")
