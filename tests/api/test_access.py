"""Identity providers and role groups in `/deskwright`."""

from deskwright.identity.permissions import ADMINISTRATOR, READER
from tests.api.conftest import Api
from tests.company import Company

NEW = {"displayName": "Work id", "issuer": "https://id.example/realm", "clientId": "us", "clientSecret": "very secret"}


def test_identity_providers(api: Api, company: Company) -> None:
    made = api.post("/identityProviders", NEW)
    assert made.status == 201
    assert made.body["clientSecretSet"] is True
    assert made.body["userClaim"] == "preferred_username"
    assert made.body["redirectUri"].endswith(f"/sign-in/back/{made.body['id']}")
    again = api.post("/identityProviders", {**NEW, "displayName": "work ID"})
    assert (again.status, again.code) == (409, "nameAlreadyExists")
    assert api.post("/identityProviders", {**NEW, "displayName": "B", "issuer": "http://id.example"}).status == 400
    assert [p["id"] for p in api.get("/identityProviders").body["value"]] == [made.body["id"]]
    changed = api.call("PATCH", "/identityProviders/Work%20id", {"enabled": False, "clientSecret": ""})
    assert (changed.body["enabled"], changed.body["clientSecretSet"]) == (False, False)
    told = [made.body, changed.body, api.get(f"/identityProviders/{made.body['id']}").body]
    assert "very secret" not in repr([told, company.sql("SELECT before, after FROM audit_events")])
    assert api.delete("/identityProviders/Work%20id").status == 200
    assert api.get("/identityProviders/Work%20id").status == 404


def test_who_could_not_give_roles_adds_no_issuer(api: Api) -> None:
    """Whoever runs one can sign in as an administrator."""
    for lacks in ("CloudPC.ReadWrite.All", "Directory.ReadWrite.All"):
        lesser = api.as_(permissions=api.caller.permissions - {lacks})
        assert lesser.post("/identityProviders", NEW).status == 403


def test_role_groups(api: Api, company: Company) -> None:
    company.group("Desk")
    made = api.post("/roleGroups", {"role": "reader", "group": "desk"})
    assert (made.status, made.body["role"], made.body["groupDisplayName"]) == (201, READER, "Desk")
    (told,) = api.get("/roleGroups").body["value"]
    assert (told["id"], told["members"], told["domain"]) == (made.body["id"], 0, None)
    assert api.post("/roleGroups", {"role": "king", "group": "Desk"}).status == 400
    assert api.delete(f"/roleGroups/{ADMINISTRATOR}/Desk").status == 404
    assert api.delete(f"/roleGroups/{READER}/Desk").body["id"] == made.body["id"]
    assert api.get("/roleGroups").body["value"] == []
