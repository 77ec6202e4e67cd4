"""App registrations: programs that may ask for tokens, with their permissions and secrets."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.identity import passwords
from deskwright.identity.permissions import PERMISSIONS, known
from deskwright.operations import named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item, Noun
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import app_registrations, app_secrets

SECRETS_AT_MOST = 20
SECRET_DAYS = 180
LONGEST_SECRET_DAYS = 730


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "appId": str(row.id),
        "displayName": row.display_name,
        "permissions": list(row.permissions),
        "isFallbackPublicClient": row.public_client,
        "redirectUris": list(row.redirect_uris),
        "accountEnabled": not row.disabled,
        "createdDateTime": row.created_at,
    }


APP = Noun("application", "app registration", app_registrations, "displayName", "display_name", _present, "app")


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    permissions: Sequence[str] = (),
    public_client: bool = False,
    redirect_uris: Sequence[str] = (),
) -> Item:
    """Register an application. `permissions`: names of identity.permissions; a public client has no secret."""
    name = named.check_name("displayName", display_name)
    values = {
        "display_name": name,
        "permissions": _check_permissions(permissions),
        "public_client": public_client,
        "redirect_uris": [_check_redirect(uri) for uri in redirect_uris],
    }
    with change(database, tenant, actor) as opened:
        named.refuse_taken(opened.connection, tenant, APP, name)
        return _present(_create(opened, values))


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    app: str,
    *,
    display_name: str | None = None,
    permissions: Sequence[str] | None = None,
    public_client: bool | None = None,
    redirect_uris: Sequence[str] | None = None,
    account_enabled: bool | None = None,
) -> Item:
    """Change what is given. What is taken away, or disabled, counts no more within a minute, in every process."""
    wanted = {
        "display_name": None if display_name is None else named.check_name("displayName", display_name),
        "permissions": None if permissions is None else _check_permissions(permissions),
        "public_client": public_client,
        "redirect_uris": None if redirect_uris is None else [_check_redirect(uri) for uri in redirect_uris],
        "disabled": None if account_enabled is None else not account_enabled,
    }
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, APP, app)
        if display_name is not None:
            named.refuse_taken(opened.connection, tenant, APP, display_name, besides=row.id)
        if public_client and _secrets(opened, row.id):
            raise Refused("isFallbackPublicClient", True, "a public client has no secrets", remedy="Remove them first")
        return _present(named.modify(opened, APP, row, **wanted))


def delete_(database: Database, tenant: TenantRef, actor: str, app: str) -> Item:
    """Delete a registration with its secrets; its tokens count no more within a minute."""
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, APP, app)
        ended = "UPDATE refresh_tokens SET revoked_at = now() WHERE app_id = :app AND revoked_at IS NULL"
        opened.connection.execute(text(ended), {"app": row.id})
        named.remove(opened, APP, row)
        return _present(row)


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    with database.single.connect() as connection:
        return [_present(row) for row in named.page(connection, tenant, APP, after, limit)]


def show(database: Database, tenant: TenantRef, app: str) -> Item:
    """A registration with its secrets: their names, first characters and ends, never more."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, APP, app)
        c = app_secrets.c
        of = select(app_secrets).where(c.tenant_id == tenant.id, c.app_id == row.id).order_by(c.created_at, c.id)
        return {**_present(row), "passwordCredentials": [_present_secret(s) for s in connection.execute(of)]}


def add_secret(
    database: Database, tenant: TenantRef, actor: str, app: str, *, display_name: str = "", days: int = SECRET_DAYS
) -> Item:
    """Make a secret for an application. `secretText` of the answer is the only place where it ever stands."""
    if not 1 <= days <= LONGEST_SECRET_DAYS:
        raise Refused("days", days, f"must be 1 to {LONGEST_SECRET_DAYS}")
    label = named.check_name("displayName", display_name, longest=64) if display_name else ""
    secret = passwords.new_secret()
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, APP, app)
        if row.public_client:
            raise Refused("application", row.display_name, "is a public client: it cannot keep a secret")
        if _secrets(opened, row.id) >= SECRETS_AT_MOST:
            raise Refused("application", row.display_name, f"has {SECRETS_AT_MOST} secrets already; remove one first")
        now = datetime.now(UTC)
        values = {
            "app_id": row.id,
            "tenant_id": tenant.id,
            "display_name": label,
            "hint": secret[: passwords.HINT_LENGTH],
            "hash": passwords.hash_secret(secret),
            "created_at": now,
            "expires_at": now + timedelta(days=days),
        }
        made = opened.connection.execute(insert(app_secrets).values(**values).returning(*app_secrets.c)).one()
        item = _present_secret(made)
        opened.audit("Add secret", APP.kind, [event(row.id, row.display_name, None, item)])
    return {**item, "appId": str(row.id), "secretText": secret}


def remove_secret(database: Database, tenant: TenantRef, actor: str, app: str, secret: str) -> Item:
    """Remove a secret, named by its id; tokens it has brought stay valid until they expire."""
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, APP, app)
        c, key = app_secrets.c, named.as_id(secret)
        gone = delete(app_secrets).where(c.tenant_id == tenant.id, c.app_id == row.id, c.id == key)
        found = None if key is None else opened.connection.execute(gone.returning(*c)).one_or_none()
        if found is None:
            raise NotFound("keyId", secret, f"deskwright app show {row.display_name} shows those there are")
        item = _present_secret(found)
        opened.audit("Remove secret", APP.kind, [event(row.id, row.display_name, item, None)])
        return item


def _create(opened: Change, values: dict[str, Any]) -> "Row[Any]":
    # Real time, unlike other nouns: all of identity is (R5).
    return named.create(opened, APP, created_at=func.now(), **values)


def _secrets(opened: Change, app: UUID) -> int:
    query = select(func.count()).select_from(app_secrets).where(app_secrets.c.app_id == app)
    return int(opened.connection.execute(query).scalar_one())


def _present_secret(row: "Row[Any]") -> Item:
    return {
        "keyId": str(row.id),
        "displayName": row.display_name,
        "hint": row.hint,
        "startDateTime": row.created_at,
        "endDateTime": row.expires_at,
    }


def _check_permissions(given: Sequence[str]) -> list[str]:
    found = []
    for name in given:
        spelled = known(name)
        if spelled is None or not PERMISSIONS[spelled].application:
            names = ", ".join(p.name for p in PERMISSIONS.values() if p.application)
            raise Refused("permissions", name, f"is no permission of an application; these are: {names}")
        found.append(spelled)
    return sorted(set(found))


def _check_redirect(uri: str) -> str:
    """An address that codes are sent to: https, or http on the machine itself, or an app's own scheme."""
    rule = "must be https://..., http://localhost... (any port counts), or a scheme of the app's own, without #"
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError as bad:
        raise Refused("redirectUris", uri, rule) from bad
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    own = "." in parts.scheme or parts.scheme.startswith("msal")
    if parts.fragment or uri.endswith("#") or not uri.isprintable() or any(c.isspace() for c in uri):
        raise Refused("redirectUris", uri, rule)
    if not (local or own or (parts.scheme == "https" and parts.hostname)) or parts.username is not None:
        raise Refused("redirectUris", uri, rule)
    return uri
