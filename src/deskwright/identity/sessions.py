"""Browser sessions: who is signed in at the pages, and what they may do in which tenant.

The cookie holds 256 random bits, the table their SHA-256. What a person may do is read anew with every request, so a
role that was taken away, a disabled account and a changed password count at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import text

from deskwright.identity.passwords import digest, new_code
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.store.database import Database

LIFE = timedelta(hours=12)
IDLE = timedelta(hours=2)
"""Without a request for so long a session ends; pages that only stay open and watch do not count as requests."""
_SEEN = timedelta(minutes=1)
_KEPT = timedelta(days=1)
"""After its end: so long `whose` still knows a session."""

_BEGIN = text(
    "INSERT INTO web_sessions (hash, tenant_id, user_id, expires_at) VALUES (:hash, :tenant, :user, now() + :life)"
)
_FORGET = text(
    "DELETE FROM web_sessions WHERE hash IN (SELECT hash FROM web_sessions WHERE expires_at < now() - :kept "
    "ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)"
)
_FIND = text(
    """
    SELECT s.user_id, u.user_principal_name, u.display_name, s.tenant_id, t.name AS tenant,
           s.seen_at < now() - CAST(:seen AS interval) AS unseen,
           COALESCE((SELECT jsonb_agg(jsonb_build_array(r.tenant_id, rt.name, r.role) ORDER BY r.role DESC) FROM (
              SELECT DISTINCT tenant_id, role FROM held_roles WHERE user_id = s.user_id) r
              JOIN tenants rt ON rt.id = r.tenant_id), '[]') AS roles
      FROM web_sessions s JOIN users u ON u.id = s.user_id JOIN tenants t ON t.id = s.tenant_id
     WHERE s.hash = :hash AND s.expires_at > now() AND s.seen_at > now() - CAST(:idle AS interval)
       AND u.account_enabled AND u.deleted_at IS NULL
    """
)


@dataclass(frozen=True)
class Place:
    """A tenant where a person holds a role."""

    tenant_id: UUID
    tenant_name: str
    role: str
    """The stronger one where they hold both: a name of `permissions.ROLES`."""


@dataclass(frozen=True)
class Session:
    user_id: UUID
    user_principal_name: str
    display_name: str
    tenant_id: UUID
    """The person's own tenant."""
    tenant_name: str
    places: Mapping[str, Place]
    """Where they hold a role, by the tenant's name in lower case and in the order of the names."""


def begin(database: Database, tenant: UUID, user: UUID) -> str:
    """Sign a person in; returns the cookie's token."""
    token = new_code()
    with database.begin() as connection:
        connection.execute(_FORGET, {"kept": _KEPT})
        connection.execute(_BEGIN, {"hash": digest(token), "tenant": tenant, "user": user, "life": LIFE})
    return token


def find(database: Database, token: str, *, counts: bool = True) -> Session | None:
    """The session of a cookie; None where it has ended, or its person may not sign in any more.

    `counts`: a person has done something, so that it does not end for want of it (`IDLE`).
    """
    of = {"hash": digest(token), "seen": _SEEN, "idle": IDLE}
    with database.single.connect() as connection:
        row = connection.execute(_FIND, of).one_or_none()
        if row is None:
            return None
        if row.unseen and counts:
            connection.execute(text("UPDATE web_sessions SET seen_at = now() WHERE hash = :hash"), of)
    places: dict[str, Place] = {}
    for tenant, name, role in sorted(row.roles, key=lambda r: r[1].lower()):
        if role == ADMINISTRATOR or name.lower() not in places:
            places[name.lower()] = Place(UUID(tenant), name, role)
    person = (row.user_id, row.user_principal_name, row.display_name)
    return Session(*person, row.tenant_id, row.tenant, MappingProxyType(places))


def whose(database: Database, token: str) -> UUID | None:
    """Whose session it is or was; None where it was ended on purpose, or long ago."""
    with database.single.connect() as connection:
        query = text("SELECT user_id FROM web_sessions WHERE hash = :hash")
        found: UUID | None = connection.execute(query, {"hash": digest(token)}).scalar_one_or_none()
        return found


def end(database: Database, token: str) -> None:
    """Sign out. Harmless where there is no such session."""
    with database.begin() as connection:
        connection.execute(text("DELETE FROM web_sessions WHERE hash = :hash"), {"hash": digest(token)})
