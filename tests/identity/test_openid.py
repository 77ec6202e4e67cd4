"""What an issuer says is believed only where everything about it is right, and only about people of its own tenant."""

import base64
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from joserfc.jwk import RSAKey

from deskwright.domain.rules import Refused
from deskwright.identity import issuer_web, issuers, openid
from deskwright.identity.issuer_web import IssuerProblem
from deskwright.identity.issuers import Issuer
from deskwright.identity.openid import Kept
from deskwright.identity.sign_in import SignedIn
from deskwright.operations import identity_providers
from tests.company import Company
from tests.identity.fake_issuer import CLIENT, SECRET, FakeIssuer, fake_issuer

BACK = "https://here.example/sign-in/back/1"


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    issuer_web.forget()
    with fake_issuer() as made:
        yield made
    issuer_web.forget()


@pytest.fixture
def provider(company: Company, issuer: FakeIssuer) -> Issuer:
    company.user("adele")
    return known(company, register(company, issuer))


def register(company: Company, issuer: FakeIssuer, **more: Any) -> UUID:
    made = identity_providers.create(
        company.world.database, company.tenant, "test", display_name=more.pop("name", "Work id"),
        issuer=more.pop("address", issuer.url), client_id=CLIENT, client_secret=SECRET,
        secrets=company.world.secrets, **more,
    )  # fmt: skip
    return UUID(made["id"])


def known(company: Company, id_: UUID) -> Issuer:
    with company.world.database.single.connect() as connection:
        found = issuers.find(connection, id_)
    assert found is not None
    return found


def began(company: Company, issuer: FakeIssuer, provider: Issuer) -> tuple[Kept, dict[str, str]]:
    """At the issuer: what the browser keeps, and what the issuer was asked."""
    begun = openid.begin(company.world.secrets, provider, BACK, to="/portal", login_hint="adele@contoso.com")
    asked = {n: v[0] for n, v in parse_qs(urlsplit(begun.address).query).items()}
    issuer.nonce, issuer.challenge = asked["nonce"], asked["code_challenge"]
    kept = openid.unseal(company.world.secrets, begun.sealed)
    assert kept is not None
    return kept, asked


def finish(company: Company, issuer: FakeIssuer, provider: Issuer, **answer: str) -> SignedIn:
    kept, asked = began(company, issuer, provider)
    back = {"code": "c", "state": asked["state"], **answer}
    assert openid.is_answer_to(kept, provider.id, back)
    return openid.finish(company.world.database, company.world.secrets, provider, kept, BACK, back)


def test_code_pkce_state_and_nonce(company: Company, issuer: FakeIssuer, provider: Issuer) -> None:
    kept, asked = began(company, issuer, provider)
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert (asked["client_id"], asked["redirect_uri"], asked["login_hint"]) == (CLIENT, BACK, "adele@contoso.com")
    assert "openid" in asked["scope"].split()
    assert kept.verifier not in str(asked)
    assert not openid.is_answer_to(kept, provider.id, {"code": "c", "state": "another"})
    assert not openid.is_answer_to(kept, provider.id, {"code": "c"})
    assert not openid.is_answer_to(kept, uuid4(), {"code": "c", "state": asked["state"]}), "of another issuer"
    who = finish(company, issuer, provider)
    assert (who.person.user_principal_name, who.tenant_id) == ("adele@contoso.com", company.tenant.id)
    assert issuer.redeemed[-1]["grant_type"] == "authorization_code"
    assert issuer.redeemed[-1]["redirect_uri"] == BACK


def test_what_the_browser_keeps_is_sealed_and_ends(
    company: Company, issuer: FakeIssuer, provider: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = openid.begin(company.world.secrets, provider, BACK)
    assert openid.unseal(company.world.secrets, begun.sealed) is not None
    assert openid.unseal(company.world.secrets, begun.sealed[:-4] + "AAAA") is None
    assert openid.unseal(company.world.secrets, "") is None
    assert (
        openid.unseal(company.world.secrets, company.world.secrets.encrypt('{"for": "new-password"}').decode()) is None
    )
    monkeypatch.setattr("deskwright.identity.openid.time.time", lambda: 4e9)
    assert openid.unseal(company.world.secrets, begun.sealed) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"aud": "another client"},
        {"aud": [CLIENT, "another client"]},  # and no azp
        {"aud": [CLIENT, "another client"], "azp": "another client"},
        {"exp": 1_600_000_000},
        {"exp": None},
        {"iat": 4_000_000_000, "exp": 4_000_000_100},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"sub": None},
    ],
)
def test_a_token_that_is_not_for_this_sign_in_counts_for_nothing(
    company: Company, issuer: FakeIssuer, provider: Issuer, claims: dict[str, Any]
) -> None:
    issuer.claims = claims
    with pytest.raises(IssuerProblem, match="cannot be verified"):
        finish(company, issuer, provider)


_OTHER = RSAKey.generate_key(2048, {"kid": "one"})


@pytest.mark.parametrize(
    "sign",
    [
        lambda i, claims: i.signed(claims, _OTHER),
        lambda i, claims: i.signed(claims)[:-8] + "AAAAAAAA",
        lambda i, claims: _by_hand("none", claims, lambda _: b""),
        # Signed with what everybody knows: the public key.
        lambda i, claims: _by_hand("HS256", claims, lambda of: hmac.digest(i.key.as_pem(private=False), of, "sha256")),
        lambda i, claims: "no token at all",
    ],
)
def test_a_token_that_the_issuer_did_not_sign_counts_for_nothing(
    company: Company, issuer: FakeIssuer, provider: Issuer, sign: Callable[[FakeIssuer, dict[str, Any]], str]
) -> None:
    issuer.described = {"id_token_signing_alg_values_supported": ["RS256", "HS256", "none"]}
    issuer.sign = lambda claims: sign(issuer, claims)
    with pytest.raises(IssuerProblem, match="cannot be verified"):
        finish(company, issuer, provider)


def _by_hand(algorithm: str, claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    header = {"alg": algorithm, "kid": "one"}
    signed = ".".join(part(json.dumps(value).encode()) for value in (header, claims))
    return f"{signed}.{part(sign(signed.encode()))}"


def test_new_keys_of_the_issuer_are_noticed(
    company: Company, issuer: FakeIssuer, provider: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(company, issuer, provider)
    issuer.key = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(IssuerProblem):
        finish(company, issuer, provider)  # asked for a moment ago
    monkeypatch.setattr(issuer_web, "AGAIN_SECONDS", 0.0)
    assert finish(company, issuer, provider)


def test_what_the_issuer_refuses_is_told(company: Company, issuer: FakeIssuer, provider: Issuer) -> None:
    with pytest.raises(IssuerProblem, match="It says: access_denied: You are not of this department"):
        finish(
            company, issuer, provider, error="access_denied", error_description="You are not of this\ndepartment"[:40]
        )
    issuer.answer = (400, {"error": "invalid_client", "error_description": "wrong secret"})
    with pytest.raises(IssuerProblem, match=r"did not confirm the sign-in\. It says: invalid_client: wrong secret"):
        finish(company, issuer, provider)
    for answer in ((500, {}), (200, b"<html>"), (200, {"access_token": "a", "token_type": "Bearer"}), (302, b"")):
        issuer.answer = answer
        with pytest.raises(IssuerProblem):
            finish(company, issuer, provider)


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
    ],
)
def test_a_description_that_is_not_right_is_not_followed(
    company: Company, issuer: FakeIssuer, provider: Issuer, described: dict[str, Any]
) -> None:
    issuer.described = described
    with pytest.raises(IssuerProblem, match="Work id cannot be used at the moment"):
        openid.begin(company.world.secrets, provider, BACK)
    assert identity_providers.problem({"issuer": provider.issuer})


def test_answers_that_name_their_issuer_must_name_this_one(
    company: Company, issuer: FakeIssuer, provider: Issuer
) -> None:
    assert finish(company, issuer, provider, iss=issuer.url)
    with pytest.raises(IssuerProblem, match="another issuer"):
        finish(company, issuer, provider, iss="https://evil.example")
    issuer_web.forget()
    issuer.described = {"authorization_response_iss_parameter_supported": True}
    with pytest.raises(IssuerProblem, match="another issuer"):
        finish(company, issuer, provider)


def test_who_is_nobody_here_or_disabled_is_not_signed_in(
    company: Company, issuer: FakeIssuer, provider: Issuer
) -> None:
    issuer.claims = {"preferred_username": "somebody@contoso.com"}
    with pytest.raises(IssuerProblem, match=r"says that you are somebody@contoso.com\. There is no such account here"):
        finish(company, issuer, provider)
    issuer.claims = {"preferred_username": ["adele@contoso.com"]}
    with pytest.raises(IssuerProblem, match="did not say your user name"):
        finish(company, issuer, provider)
    issuer.claims = {"preferred_username": "ADELE@contoso.com"}
    assert finish(company, issuer, provider)
    company.sql("UPDATE users SET account_enabled = false")
    with pytest.raises(IssuerProblem, match="or it is disabled"):
        finish(company, issuer, provider)


def test_an_address_of_mail_counts_where_the_issuer_has_verified_it(
    company: Company, issuer: FakeIssuer, provider: Issuer
) -> None:
    by_mail = known(company, register(company, issuer, name="By mail", user_claim="email"))
    for claims in ({"email": "adele@contoso.com"}, {"email": "adele@contoso.com", "email_verified": "true"}):
        issuer.claims = claims
        with pytest.raises(IssuerProblem, match="has not verified"):
            finish(company, issuer, by_mail)
    issuer.claims = {"email": "adele@contoso.com", "email_verified": True, "preferred_username": "root@contoso.com"}
    assert finish(company, issuer, by_mail).person.user_principal_name == "adele@contoso.com"


def test_an_issuer_speaks_of_its_own_tenant_only(company: Company, issuer: FakeIssuer, provider: Issuer) -> None:
    """Another tenant's administrator may run an issuer that says anything."""
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('other.example') RETURNING id")
    company.sql("UPDATE identity_providers SET tenant_id = :other", other=other)
    with pytest.raises(IssuerProblem, match="no such account here"):
        finish(company, issuer, known(company, provider.id))


def test_offers_go_by_how_a_name_ends_not_by_who_exists(company: Company, issuer: FakeIssuer, provider: Issuer) -> None:
    def tenant_of(name: str) -> UUID | None:
        with company.world.database.single.connect() as connection:
            return issuers.tenant_of(connection, name)

    assert tenant_of("adele@contoso.com") == tenant_of("nobody@CONTOSO.com") == company.tenant.id
    assert tenant_of("adele") is None
    company.sql(
        "INSERT INTO users (tenant_id, user_principal_name, display_name) VALUES (:tenant, 'x@work.example', 'x')"
    )
    assert tenant_of("nobody@work.example") == company.tenant.id
    company.sql(
        "WITH t AS (INSERT INTO tenants (name) VALUES ('other.example') RETURNING id) INSERT INTO users "
        "(tenant_id, user_principal_name, display_name) SELECT id, n || '@work.example', n FROM t, "
        "unnest(ARRAY['x', 'y']) n"
    )
    assert tenant_of("x@work.example") is None, "two tenants say that the name is theirs"


@pytest.mark.parametrize(
    "address",
    ["http://id.example", "ftp://id.example", "https://", "https://user@id.example", "https://id.example/#x",
     "https://id.example?x=1", "id.example", "https://id.example:port"],
)  # fmt: skip
def test_addresses_that_no_issuer_has(company: Company, issuer: FakeIssuer, address: str) -> None:
    with pytest.raises(Refused, match="issuer"):
        register(company, issuer, address=address)


def test_the_secret_is_shown_and_logged_nowhere(
    company: Company, issuer: FakeIssuer, provider: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    change = company.world.database, company.tenant, "test"
    with caplog.at_level(logging.DEBUG):
        finish(company, issuer, provider)
        issuer.answer = (400, {"error": "invalid_client"})
        with pytest.raises(IssuerProblem):
            finish(company, issuer, provider)
        changed = identity_providers.set_(
            *change, "Work id", client_secret="another secret", secrets=company.world.secrets
        )
    told = [changed, identity_providers.show(*change[:2], "Work id"), provider, caplog.text]
    told += company.sql("SELECT before, after FROM audit_events")
    for secret in (SECRET, "another secret"):
        assert secret not in repr(told)
        assert secret not in repr(company.sql("SELECT convert_from(client_secret, 'utf8') FROM identity_providers"))
    assert (
        identity_providers.set_(*change, "Work id", client_secret="", secrets=company.world.secrets)["clientSecretSet"]
        is False
    )
