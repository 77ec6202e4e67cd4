"""Signing in with an OpenID Connect issuer: authorization code with PKCE, state and nonce; the ID token verified.

What is under way is kept by the browser, sealed. An issuer says who somebody is, in its own tenant only; that they are
a user of it, and enabled, we say.
"""

import hmac
import json
import logging
import secrets as random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from cryptography.fernet import InvalidToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from deskwright.identity import issuer_web, issuers
from deskwright.identity.issuer_web import Description, IssuerProblem
from deskwright.identity.issuers import Issuer
from deskwright.identity.sign_in import SignedIn
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets

# At its lowest level Authlib writes down tokens.
logging.getLogger("authlib").setLevel(logging.INFO)
log = logging.getLogger(__name__)

SECONDS = 600
"""So long a person may take at the issuer."""
LEEWAY_SECONDS = 60
_SCOPE = "openid profile email"
# Signatures by keys that only the issuer has; none is no signature, and HS256 is signed with what we know too.
_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "RS384", "RS512", "PS384", "PS512", "ES512", "EdDSA", "Ed25519")


@dataclass(frozen=True)
class Begun:
    """A sign-in that goes on at the issuer."""

    address: str
    """Where the browser is to go."""
    sealed: str
    """For the browser to keep until it comes back."""


@dataclass(frozen=True)
class Kept:
    """What the browser brought back of it."""

    issuer_id: UUID
    state: str
    nonce: str
    verifier: str
    to: str
    """Where the person wanted to go."""


def begin(secrets: Secrets, issuer: Issuer, redirect_uri: str, *, to: str = "", login_hint: str = "") -> Begun:
    """Raises IssuerProblem where the issuer cannot be asked."""
    described = _about(issuer)
    state, nonce, verifier = (random.token_urlsafe(bytes_) for bytes_ in (32, 32, 48))
    kept = Kept(issuer.id, state, nonce, verifier, to)
    more = {"login_hint": login_hint} if login_hint else {}
    address, _ = _client(secrets, issuer, described, redirect_uri).create_authorization_url(
        described.authorization_endpoint, state=kept.state, code_verifier=kept.verifier, nonce=kept.nonce, **more
    )
    held = {"for": "openid", "until": time.time() + SECONDS, **vars(kept), "issuer_id": str(issuer.id)}
    return Begun(address, secrets.encrypt(json.dumps(held)).decode())


def unseal(secrets: Secrets, sealed: str) -> Kept | None:
    """None where it is not ours, or the person took too long."""
    try:
        held = json.loads(secrets.decrypt(sealed.encode()))
    except (InvalidToken, ValueError):
        return None
    if held.get("for") != "openid" or held["until"] < time.time():
        return None
    return Kept(UUID(held["issuer_id"]), held["state"], held["nonce"], held["verifier"], held["to"])


def is_answer_to(kept: Kept, issuer_id: UUID, answer: Mapping[str, str]) -> bool:
    """Whether this is what the browser was sent for: then the rest of the answer may be told."""
    return kept.issuer_id == issuer_id and hmac.compare_digest(kept.state.encode(), answer.get("state", "").encode())


def finish(
    database: Database, secrets: Secrets, issuer: Issuer, kept: Kept, redirect_uri: str, answer: Mapping[str, str]
) -> SignedIn:
    """Who it is, from the issuer's answer (the query of the address it sent the browser to; `is_answer_to` has been
    asked). Raises IssuerProblem."""
    if answer.get("error"):
        said = ": ".join(_plain(answer[n]) for n in ("error", "error_description") if answer.get(n))
        raise IssuerProblem(f"{issuer.display_name} did not sign you in. It says: {said}")
    described = _about(issuer)
    said_iss = answer.get("iss")
    if said_iss != issuer.issuer and (said_iss is not None or described.says_iss):
        raise IssuerProblem(f"The answer is of another issuer than {issuer.display_name}")
    claims = _claims(issuer, described, _redeem(secrets, issuer, described, kept, redirect_uri, answer), kept.nonce)
    name = _user(issuer, claims)
    with database.single.connect() as connection:
        who = issuers.person(connection, issuer, name)
    if who is None:
        log.info("%s said %s, who is nobody of %s or disabled", issuer.display_name, _plain(name), issuer.tenant_name)
        raise IssuerProblem(
            f"{issuer.display_name} says that you are {_plain(name)}. There is no such account here, or it is "
            "disabled. Ask your administrator"
        )
    return who


def _about(issuer: Issuer) -> Description:
    try:
        return issuer_web.describe(issuer.issuer)
    except IssuerProblem as problem:
        log.warning("nobody can sign in with %s (%s): %s", issuer.display_name, issuer.issuer, problem)
        raise IssuerProblem(f"{issuer.display_name} cannot be used at the moment. {problem}") from problem


def _client(secrets: Secrets, issuer: Issuer, described: Description, redirect_uri: str) -> Any:
    try:
        secret = secrets.decrypt(issuer.client_secret) if issuer.client_secret else None
    except InvalidToken:
        log.exception("no key reads the client secret of %s", issuer.display_name)
        raise IssuerProblem(f"{issuer.display_name} cannot be used: its client secret must be entered anew") from None
    # In a form where that is possible: Basic wants the secret encoded, on which not everybody agrees.
    method = "client_secret_post" if "client_secret_post" in described.methods else "client_secret_basic"
    return OAuth2Client(
        issuer_web.Session(),
        client_id=issuer.client_id,
        client_secret=secret,
        token_endpoint_auth_method=method if secret else "none",
        scope=_SCOPE,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
    )


def _redeem(
    secrets: Secrets,
    issuer: Issuer,
    described: Description,
    kept: Kept,
    redirect_uri: str,
    answer: Mapping[str, str],
) -> str:
    """The ID token for the code."""
    client = _client(secrets, issuer, described, redirect_uri)
    try:
        token = client.fetch_token(
            described.token_endpoint,
            grant_type="authorization_code",
            code=answer.get("code", ""),
            code_verifier=kept.verifier,
            redirect_uri=redirect_uri,
        )
    except OAuth2Error as error:
        said = ": ".join(_plain(str(part)) for part in (error.error, error.description) if part)
        log.warning("%s refused the code: %s", issuer.display_name, said)
        raise IssuerProblem(f"{issuer.display_name} did not confirm the sign-in. It says: {said}") from None
    except (IssuerProblem, ValueError) as broken:
        log.warning("%s gave no token: %s", issuer.display_name, _plain(str(broken)))
        raise IssuerProblem(f"{issuer.display_name} did not confirm the sign-in. Try again") from None
    found = token.get("id_token")
    if not isinstance(found, str):
        raise IssuerProblem(f"{issuer.display_name} did not say who you are")
    return found


def _claims(issuer: Issuer, described: Description, token: str, nonce: str) -> Mapping[str, Any]:
    """What the ID token says, verified."""
    algorithms = [a for a in described.algorithms if a in _ALGORITHMS]
    try:
        try:
            read = jwt.decode(token, _keys(described), algorithms=algorithms)
        except (JoseError, ValueError):  # its keys may be new
            read = jwt.decode(token, _keys(described, anew=True), algorithms=algorithms)
        options: Any = {
            "iss": {"essential": True, "value": issuer.issuer},
            "aud": {"essential": True, "value": issuer.client_id},
        }
        claims = CodeIDToken(read.claims, read.header, options, {"nonce": nonce, "client_id": issuer.client_id})
        claims.validate(leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as bad:
        log.warning("%s sent an ID token that does not count: %s", issuer.display_name, _plain(str(bad)))
        raise IssuerProblem(f"What {issuer.display_name} says about you cannot be verified") from None
    return dict(claims)


def _keys(described: Description, *, anew: bool = False) -> KeySet:
    found = issuer_web.keys(described, anew=anew)
    usable = [k for k in found.get("keys") or () if isinstance(k, dict) and k.get("use", "sig") == "sig"]
    return KeySet.import_key_set({"keys": usable})


def _user(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The user principal name that the token gives."""
    name = claims.get(issuer.user_claim)
    if not isinstance(name, str) or not name.strip():
        raise IssuerProblem(f"{issuer.display_name} did not say your user name (the claim {issuer.user_claim})")
    if issuer.user_claim == "email" and claims.get("email_verified") is not True:
        raise IssuerProblem(f"{issuer.display_name} has not verified that {_plain(name)} is your address")
    return name.strip()


def _plain(text: str) -> str:
    """Words of others, for one line."""
    return "".join(c if c.isprintable() else " " for c in text)[:300]
