"""Access tokens: which count, which do not, and how soon what was taken away counts no more."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from deskwright.identity import keys, tokens
from deskwright.identity.apps import COMMAND_LINE, App, built_in
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import READER
from deskwright.identity.tokens import Person, Unauthenticated, authenticate
from deskwright.operations import applications, roles, tenants, users
from tests.company import Company

BASE = "http://127.0.0.1:8765"
READS = ["CloudPC.Read.All", "CloudPC.ReadWrite.All"]


@pytest.fixture
def here(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A company whose callers are looked up anew at every call."""
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", -1.0)
    yield company
    tokens.forget(company.world.database)


def registered(company: Company, *permissions: str) -> App:
    item = applications.create(*change(company), display_name="report", permissions=permissions)
    return App(UUID(item["id"]), "report", company.tenant.id, frozenset(permissions), public=False)


def change(company: Company) -> tuple[Any, Any, str]:
    return company.world.database, company.tenant, "test"


def issued(company: Company, **given: Any) -> str:
    app = built_in(COMMAND_LINE)
    values: dict[str, Any] = {"base": BASE, "tenant": company.tenant.id, "app": app, "permissions": READS, **given}
    return tokens.issue(company.world.database, company.world.secrets, **values)


def called(company: Company, token: str | None, **given: Any) -> Caller:
    header = None if token is None else f"Bearer {token}"
    return authenticate(company.world.database, company.world.secrets, header, **given)


def refused(company: Company, token: str | None, **given: Any) -> str:
    with pytest.raises(Unauthenticated) as why:
        called(company, token, **given)
    assert why.value.description
    assert token is None or token not in why.value.description
    return why.value.reason


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, payload, signature = token.split(".")
    return json.loads(_decoded(header)), json.loads(_decoded(payload)), signature


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def resigned(company: Company, change: Any, **header: Any) -> str:
    """A token with other claims, signed with our own key: what only a mistake of ours could make."""
    found, claims, _ = parts(issued(company))
    key = tokens.state(company.world.database, company.world.secrets).keys.current().key
    change(claims)
    return jwt.encode({**found, **header}, claims, key, algorithms=["RS256"])


def test_an_application_is_known_by_its_token(here: Company) -> None:
    app = registered(here, "CloudPC.Read.All", "User.Read.All")
    caller = called(here, issued(here, app=app, permissions=app.permissions))
    assert caller.tenant_id == here.tenant.id
    assert (caller.tenant_name, caller.actor, caller.app_name) == ("contoso.com", "report", "report")
    assert (caller.app_id, caller.user_id, caller.delegated) == (app.id, None, False)
    assert {"CloudPC.Read.All", "User.Read.All"} <= caller.permissions
    assert caller.roles == frozenset()


def test_a_person_is_known_by_their_token_with_the_roles_of_now(here: Company) -> None:
    user = here.user("adele")
    token = issued(here, user=Person(user, "adele@contoso.com", "Adele"), permissions=["CloudPC.Read.All"])
    caller = called(here, token)
    assert (caller.actor, caller.user_principal_name, caller.user_id) == ("adele@contoso.com",) * 2 + (user,)
    assert caller.delegated
    assert caller.permissions == {"CloudPC.Read.All"}
    assert caller.roles == frozenset()
    roles.assign(*change(here), "reader", "adele@contoso.com")
    assert called(here, token).roles == {READER}
    roles.unassign(*change(here), "reader", "adele@contoso.com")
    assert called(here, token).roles == frozenset()


def test_claims_are_those_that_clients_of_entra_know(here: Company) -> None:
    user = Person(here.user("adele"), "adele@contoso.com", "Adele Vance")
    header, claims, _ = parts(issued(here, user=user, permissions=["CloudPC.Read.All", "User.Read"]))
    assert header["alg"] == "RS256"
    assert claims["iss"] == f"{BASE}/{here.tenant.id}/v2.0"
    assert claims["aud"] == "https://graph.microsoft.com"
    assert (claims["tid"], claims["oid"]) == (str(here.tenant.id), str(user.id))
    assert claims["scp"] == "CloudPC.Read.All User.Read"
    assert "roles" not in claims
    assert claims["exp"] - claims["nbf"] == 3600
    _, claims, _ = parts(issued(here))
    assert claims["roles"] == READS
    assert (claims["idtyp"], claims["appid"], claims["azp"]) == ("app", str(COMMAND_LINE), str(COMMAND_LINE))
    assert "scp" not in claims


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer " + "a" * 20_000])
def test_without_a_bearer_token_nobody_is_known(here: Company, header: str | None) -> None:
    with pytest.raises(Unauthenticated) as why:
        authenticate(here.world.database, here.world.secrets, header)
    assert why.value.reason in ("missing", "malformed")


@pytest.mark.parametrize("text", ["x", "a.b.c", "..", "é.é.é", "e30.e30.e30", _encoded([1]) + ".e30.x", "W" * 9000])
def test_what_is_no_token_is_refused(here: Company, text: str) -> None:
    assert refused(here, text) in ("malformed", "signature")


def test_a_token_signed_by_another_key_is_refused(here: Company) -> None:
    header, claims, _ = parts(issued(here))
    own = jwt.encode(header, claims, RSAKey.generate_key(2048), algorithms=["RS256"])
    assert refused(here, own) == "signature"
    foreign = jwt.encode({**header, "kid": str(uuid4())}, claims, RSAKey.generate_key(2048), algorithms=["RS256"])
    assert refused(here, foreign) == "signature"
    without = {k: v for k, v in header.items() if k != "kid"}
    assert refused(here, jwt.encode(without, claims, RSAKey.generate_key(2048), algorithms=["RS256"])) == "signature"


def test_an_unsigned_token_is_refused(here: Company) -> None:
    header, claims, _ = parts(issued(here))
    for alg in ("none", "None", "NONE"):
        assert refused(here, f"{_encoded({**header, 'alg': alg})}.{_encoded(claims)}.") == "malformed"


def test_the_public_key_is_not_taken_for_a_shared_secret(here: Company) -> None:
    header, claims, _ = parts(issued(here))
    key = tokens.state(here.world.database, here.world.secrets).keys.current().key
    said = f"{_encoded({**header, 'alg': 'HS256'})}.{_encoded(claims)}"
    forged = hmac.digest(key.as_pem(private=False), said.encode(), "sha256")
    signature = base64.urlsafe_b64encode(forged).decode().rstrip("=")
    assert refused(here, f"{said}.{signature}") == "malformed"


def test_a_tampered_payload_is_refused(here: Company) -> None:
    token = issued(here, permissions=["CloudPC.Read.All"])
    header, claims, signature = parts(token)
    claims["roles"] = ["CloudPC.ReadWrite.All"]
    assert refused(here, f"{_encoded(header)}.{_encoded(claims)}.{signature}") == "signature"
    head, payload, _ = token.split(".")
    assert refused(here, f"{head}.{payload}.{_encoded('x')}") == "signature"


def test_expired_and_not_yet_valid_tokens_are_refused(here: Company) -> None:
    assert refused(here, issued(here, now=time.time() - 3600 - 61)) == "expired"
    assert refused(here, issued(here, now=time.time() + 120)) == "notYet"
    assert called(here, issued(here, now=time.time() - 3600)), "clocks may differ by a minute"


def test_a_token_known_before_expires_too(here: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", 1000.0)
    token = issued(here, now=time.time() - 3600)
    assert called(here, token)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert refused(here, token) == "expired"


def test_the_tenants_clock_does_not_age_tokens(here: Company) -> None:
    """R5: tokens stay on real time."""
    token = issued(here)
    here.advance(days=30)
    assert called(here, token).tenant_id == here.tenant.id


def test_issuer_audience_and_type_must_be_ours(here: Company) -> None:
    other = str(uuid4())
    assert refused(here, resigned(here, lambda c: c.update(iss=f"{BASE}/{other}/v2.0"))) == "issuer"
    assert refused(here, resigned(here, lambda c: c.update(iss=f"https://sts.windows.net/{c['tid']}/"))) == "issuer"
    assert refused(here, resigned(here, lambda c: c.update(aud=str(COMMAND_LINE)))) == "audience"
    assert refused(here, resigned(here, lambda c: None, typ="JWT")) == "malformed"
    assert refused(here, resigned(here, lambda c: c.pop("tid"))) == "malformed"
    assert refused(here, resigned(here, lambda c: c.update(exp="soon"))) == "malformed"
    assert refused(here, issued(here), base="https://desktops.contoso.com") == "issuer"
    assert called(here, issued(here, base="https://desktops.contoso.com"), base="https://desktops.contoso.com")


def test_an_id_token_opens_nothing(here: Company) -> None:
    app = built_in(COMMAND_LINE)
    assert app is not None
    person = Person(here.user("adele"), "adele@contoso.com", "Adele")
    token = tokens.issue_id_token(
        here.world.database, here.world.secrets, base=BASE, tenant=here.tenant.id, app=app, user=person, nonce="n"
    )
    assert refused(here, token) == "malformed"


def test_a_disabled_or_deleted_application_counts_no_more(here: Company) -> None:
    app = registered(here, "CloudPC.Read.All")
    token = issued(here, app=app, permissions=app.permissions)
    applications.set_(*change(here), "report", account_enabled=False)
    assert refused(here, token) == "application"
    applications.set_(*change(here), "report", account_enabled=True)
    assert called(here, token)
    applications.delete_(*change(here), "report")
    assert refused(here, token) == "application"


def test_a_permission_that_was_taken_away_counts_no_more(here: Company) -> None:
    app = registered(here, "CloudPC.ReadWrite.All", "User.Read.All")
    token = issued(here, app=app, permissions=app.permissions)
    applications.set_(*change(here), "report", permissions=["CloudPC.Read.All", "Group.Read.All"])
    assert called(here, token).permissions == frozenset(), "nor does one that was granted since"
    applications.set_(*change(here), "report", permissions=["User.ReadWrite.All"])
    assert called(here, token).permissions == {"User.Read.All"}


def test_a_deleted_or_disabled_user_counts_no_more(here: Company) -> None:
    """E1: disabling stops sign-in."""
    token = issued(here, user=Person(here.user("adele"), "adele@contoso.com", "Adele"))
    users.set_(*change(here), "adele@contoso.com", account_enabled=False)
    assert refused(here, token) == "user"
    users.set_(*change(here), "adele@contoso.com", account_enabled=True)
    assert called(here, token)
    users.delete(*change(here), "adele@contoso.com")
    assert refused(here, token) == "user"


def test_what_was_taken_away_is_noticed_within_a_minute() -> None:
    assert tokens.RECHECK_SECONDS < 60


def test_a_token_seen_before_costs_no_query(here: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "RECHECK_SECONDS", 1000.0)
    token = issued(here)
    caller = called(here, token)
    monkeypatch.setattr(tokens, "_present", None)
    assert called(here, token) is caller


def test_a_token_of_one_tenant_names_nobody_of_another(here: Company) -> None:
    """Section 5: no token ever crosses."""
    database = here.world.database
    tenants.create(database, "test", "fabrikam.com")
    other = tenants.find(database, "fabrikam.com")
    user = here.user("adele")
    forged = issued(here, tenant=other.id, user=Person(user, "adele@contoso.com", "Adele"))
    assert refused(here, forged) == "user"
    app = registered(here, "CloudPC.Read.All")
    assert refused(here, issued(here, tenant=other.id, app=app)) == "application"
    assert refused(here, issued(here, tenant=uuid4())) == "tenant"


def test_a_rotated_key_signs_no_more_but_its_tokens_stay(here: Company) -> None:
    old = issued(here)
    made = keys.rotate(here.world.database, here.world.secrets)
    ring = keys.KeyRing(here.world.database, here.world.secrets)
    assert ring.current().id == made
    tokens.forget(here.world.database)
    new = issued(here)
    assert parts(new)[0]["kid"] == str(made) != parts(old)[0]["kid"]
    assert called(here, old)
    assert called(here, new)
    here.sql("UPDATE signing_keys SET retired_at = now() - interval '3 hours' WHERE retired_at IS NOT NULL")
    tokens.forget(here.world.database)
    assert refused(here, old) == "signature"
    assert called(here, new)


def test_a_key_another_process_made_is_found(here: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(here, issued(here))
    keys.rotate(here.world.database, here.world.secrets)
    app = built_in(COMMAND_LINE)
    assert app is not None
    ours = tokens.state(here.world.database, here.world.secrets)
    tokens.forget(here.world.database)  # as another process would: with keys of its own
    token = issued(here)
    tokens._STATES[here.world.database.url] = ours
    monkeypatch.setattr(keys, "_LOOK_AGAIN_SECONDS", 0.0)
    assert called(here, token)


def test_private_keys_are_encrypted_at_rest_and_never_published(here: Company) -> None:
    issued(here)
    (row,) = here.sql("SELECT id, private_key FROM signing_keys")
    assert b"PRIVATE" not in bytes(row.private_key)
    assert "PRIVATE KEY" in here.world.secrets.decrypt(bytes(row.private_key))
    (published,) = tokens.public_keys(here.world.database, here.world.secrets)["keys"]
    assert published["kid"] == str(row.id)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(published)
