"""Access tokens: signed here (RS256), verified here, and turned into a Caller.

A token says what was granted when it was issued. Whether that still holds is asked of the database, at most
`RECHECK_SECONDS` later: a disabled application, a deleted or disabled user, a permission or a role that was taken
away count no more after that, though the token has not expired. In between a known token costs a dictionary look-up.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from sqlalchemy import text

from deskwright.identity.apps import App, built_in, granted
from deskwright.identity.caller import Caller
from deskwright.identity.keys import TOKEN_LIFE, KeyRing
from deskwright.identity.permissions import known
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets

GRAPH = "https://graph.microsoft.com"
RECHECK_SECONDS = 20.0
LEEWAY_SECONDS = 60
"""How far the clocks of two of our servers may differ."""
_LONGEST = 16_384
_CACHED = 10_000
_TYPE = "at+jwt"  # RFC 9068: an ID token is not taken for an access token
_ISSUER = re.compile(r"https?://[^/\s]+/([0-9a-f-]{36})/v2\.0")

_FACTS = text(
    """
    SELECT t.name AS tenant, a.display_name AS app, a.permissions, a.disabled, u.user_principal_name AS upn,
           u.account_enabled AND u.deleted_at IS NULL AS enabled,
           ARRAY(SELECT DISTINCT r.role FROM held_roles r WHERE r.tenant_id = t.id AND r.user_id = u.id) AS roles
      FROM tenants t
      LEFT JOIN app_registrations a ON a.tenant_id = t.id AND a.id = :app
      LEFT JOIN users u ON u.tenant_id = t.id AND u.id = :user
     WHERE t.id = :tenant
    """
)


class Unauthenticated(Exception):
    """The token is missing or does not count. `reason` is a short code, `description` a sentence for its owner."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(description)
        self.reason, self.description = reason, description


@dataclass(frozen=True)
class Person:
    """Whom a token is for."""

    id: UUID
    user_principal_name: str
    display_name: str


@dataclass(frozen=True)
class _Seen:
    """A token whose signature was good."""

    tenant: UUID
    app: UUID
    user: UUID | None
    permissions: frozenset[str]
    expires: float
    caller: Caller
    checked: float


@dataclass
class _State:
    """What this process knows of one database's tokens."""

    keys: KeyRing
    seen: "OrderedDict[bytes, _Seen]" = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_STATES: dict[str, _State] = {}
_STATES_KEPT = 16


def issuer(base: str, tenant: UUID) -> str:
    """`base` is where clients reach us, such as ``https://localhost:8766``."""
    return f"{base}/{tenant}/v2.0"


def issue(
    database: Database,
    secrets: Secrets,
    *,
    base: str,
    tenant: UUID,
    app: App,
    permissions: Iterable[str],
    user: Person | None = None,
    audience: str = GRAPH,
    now: float | None = None,
) -> str:
    """An access token, valid for an hour; `now` is for tests (seconds since 1970)."""
    start = int(time.time() if now is None else now)
    names = sorted(permissions)
    who: dict[str, Any] = (
        {"oid": str(app.id), "sub": str(app.id), "idtyp": "app", "roles": names}
        if user is None
        else {
            "oid": str(user.id),
            "sub": _pairwise(app.id, user.id),
            "idtyp": "user",
            "scp": " ".join(names),
            "upn": user.user_principal_name,
            "preferred_username": user.user_principal_name,
            "name": user.display_name,
        }
    )
    claims = {
        "aud": audience,
        "iss": issuer(base, tenant),
        "iat": start,
        "nbf": start,
        "exp": start + int(TOKEN_LIFE.total_seconds()),
        "tid": str(tenant),
        "appid": str(app.id),
        "azp": str(app.id),
        "azpacr": "0" if app.public else "1",
        "app_displayname": app.name,
        "uti": uuid4().hex,
        "ver": "2.0",
        **who,
    }
    return _sign(state(database, secrets).keys, claims, _TYPE)


def issue_id_token(
    database: Database, secrets: Secrets, *, base: str, tenant: UUID, app: App, user: Person, nonce: str | None
) -> str:
    """Who signed in, for the application itself (OpenID Connect). It opens nothing here."""
    start = int(time.time())
    claims = {
        "aud": str(app.id),
        "iss": issuer(base, tenant),
        "iat": start,
        "nbf": start,
        "exp": start + int(TOKEN_LIFE.total_seconds()),
        "tid": str(tenant),
        "oid": str(user.id),
        "sub": _pairwise(app.id, user.id),
        "preferred_username": user.user_principal_name,
        "name": user.display_name,
        "ver": "2.0",
        **({"nonce": nonce} if nonce else {}),
    }
    return _sign(state(database, secrets).keys, claims, "JWT")


def public_keys(database: Database, secrets: Secrets) -> dict[str, Any]:
    """The JWK set."""
    return state(database, secrets).keys.public()


def authenticate(database: Database, secrets: Secrets, authorization: str | None, *, base: str | None = None) -> Caller:
    """Who sends this Authorization header. Raises Unauthenticated.

    `base`: where this installation is reached, when it is set; then tokens must name it as their issuer. Without
    it our signature alone says that the token is ours: the same server has several addresses.
    """
    if authorization is None or not authorization.strip():
        raise Unauthenticated("missing", "Access token is empty. Send it as 'Authorization: Bearer ...'.")
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _LONGEST:
        raise Unauthenticated("malformed", "The Authorization header must be 'Bearer' and an access token.")
    here = state(database, secrets)
    key = hashlib.sha256(f"{base} {token}".encode(errors="replace")).digest()
    with here.lock:
        seen = here.seen.get(key)
    now = time.time()
    if seen is None:
        seen = _read(here.keys, token, base, now)
    elif seen.expires + LEEWAY_SECONDS <= now:
        with here.lock:
            here.seen.pop(key, None)
        raise Unauthenticated("expired", "The access token has expired. Ask for a new one.")
    if time.monotonic() - seen.checked > RECHECK_SECONDS:
        seen = replace(seen, caller=_present(database, seen), checked=time.monotonic())
        with here.lock:
            here.seen[key] = seen
            here.seen.move_to_end(key)
            if len(here.seen) > _CACHED:
                here.seen.popitem(last=False)
    return seen.caller


def forget(database: Database) -> None:
    """Ask the database again at the next call: for tests, and for a process that has just taken something away."""
    with _lock:
        _STATES.pop(database.url, None)


_lock = threading.Lock()


def state(database: Database, secrets: Secrets) -> _State:
    with _lock:
        found = _STATES.get(database.url)
        if found is None or found.keys.database is not database:
            if len(_STATES) >= _STATES_KEPT:
                _STATES.pop(next(iter(_STATES)))
            found = _STATES[database.url] = _State(KeyRing(database, secrets))
        return found


def _sign(keys: KeyRing, claims: Mapping[str, Any], kind: str) -> str:
    key = keys.current()
    return jwt.encode({"alg": "RS256", "typ": kind, "kid": str(key.id)}, dict(claims), key.key, algorithms=["RS256"])


def _read(keys: KeyRing, token: str, base: str | None, now: float) -> _Seen:
    """Verify everything that needs no database but for the keys."""
    header = _header(token)
    if header.get("alg") != "RS256" or str(header.get("typ", "")).lower() != _TYPE:
        raise Unauthenticated("malformed", "The token is no access token of this server.")
    kid = header.get("kid")
    key = keys.find(kid) if isinstance(kid, str) else None
    if key is None:
        raise Unauthenticated("signature", "The token was not signed by this server.")
    try:
        claims = jwt.decode(token, key, algorithms=["RS256"]).claims
    except (JoseError, ValueError) as bad:
        raise Unauthenticated("signature", "The token's signature is not valid.") from bad
    try:
        tenant, app, expires, begins = UUID(claims["tid"]), UUID(claims["appid"]), claims["exp"], claims["nbf"]
        user = UUID(claims["oid"]) if claims.get("idtyp") == "user" else None
        names = claims["scp"].split() if user else claims["roles"]
        audience, said = str(claims["aud"]), str(claims["iss"])
        if not all(isinstance(moment, int | float) for moment in (expires, begins)):
            raise TypeError("exp and nbf must be numbers")
    except (KeyError, TypeError, ValueError, AttributeError) as bad:
        raise Unauthenticated("malformed", "The token lacks a claim.") from bad
    if expires + LEEWAY_SECONDS <= now:
        raise Unauthenticated("expired", "The access token has expired. Ask for a new one.")
    if begins - LEEWAY_SECONDS > now:
        raise Unauthenticated("notYet", "The access token is not valid yet: the clock of this server is behind.")
    matched = _ISSUER.fullmatch(said)
    if matched is None or matched[1] != str(tenant) or (base is not None and said != issuer(base, tenant)):
        raise Unauthenticated("issuer", "The token was issued by another server or for another tenant.")
    if not audience.startswith(("https://", "http://")):
        raise Unauthenticated("audience", "The token is not meant for this API.")
    permissions = frozenset(p for name in names if (p := known(str(name))))
    nobody = Caller(tenant, "", "", app, "", user, None, permissions, frozenset())
    return _Seen(tenant, app, user, permissions, float(expires), nobody, float("-inf"))


def _present(database: Database, seen: _Seen) -> Caller:
    """What still holds of it."""
    of = {"tenant": seen.tenant, "app": seen.app, "user": seen.user}
    with database.single.connect() as connection:
        row = connection.execute(_FACTS, of).one_or_none()
    if row is None:
        raise Unauthenticated("tenant", "The tenant of this token does not exist any more.")
    own = built_in(seen.app)
    if own is None and (row.app is None or row.disabled):
        raise Unauthenticated("application", "The application of this token was deleted or disabled.")
    if seen.user is not None and not row.enabled:
        raise Unauthenticated("user", "The user of this token was deleted or disabled.")
    name = own.name if own else str(row.app)
    now_granted = own.permissions if own else granted(row.permissions) | ({"User.Read"} if seen.user else frozenset())
    return Caller(
        tenant_id=seen.tenant,
        tenant_name=row.tenant,
        actor=row.upn if seen.user else name,
        app_id=seen.app,
        app_name=name,
        user_id=seen.user,
        user_principal_name=row.upn if seen.user else None,
        permissions=seen.permissions & now_granted,
        roles=frozenset(row.roles) if seen.user else frozenset(),
    )


def _header(token: str) -> Mapping[str, Any]:
    encoded = token.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError) as bad:
        raise Unauthenticated("malformed", "The token is no access token of this server.") from bad
    return found if isinstance(found, dict) else {}


def _pairwise(app: UUID, user: UUID) -> str:
    """The same person in the same application, another in each application."""
    return base64.urlsafe_b64encode(hashlib.sha256(app.bytes + user.bytes).digest()).decode().rstrip("=")
