"""OpenID Connect issuers that a tenant lets its people sign in with, and to whom they are offered.

Which are offered is decided by a tenant's name, or by how a user name ends, never by whether somebody has that name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.identity import sign_in
from deskwright.identity.sign_in import SignedIn

_ISSUER = """
    SELECT p.id, p.tenant_id, t.name AS tenant_name, p.display_name, p.issuer, p.client_id, p.client_secret,
           p.user_claim
      FROM identity_providers p JOIN tenants t ON t.id = p.tenant_id WHERE p.enabled
"""
_BY_ID = text(f"{_ISSUER} AND p.id = :id")
_OF_TENANT = text(f"{_ISSUER} AND p.tenant_id = :tenant ORDER BY lower(p.display_name)")
_ANY = text("SELECT EXISTS (SELECT 1 FROM identity_providers WHERE enabled)")
_NAMED = text("SELECT id FROM tenants WHERE lower(name) = lower(:name)")
_WITH_SUFFIX = text(
    """
    SELECT t.id FROM tenants t WHERE EXISTS (
      SELECT 1 FROM users u WHERE u.tenant_id = t.id AND u.deleted_at IS NULL
         AND lower(split_part(u.user_principal_name, '@', 2)) = lower(:suffix)) LIMIT 2
    """
)
_PERSON = text(
    "SELECT id FROM users WHERE tenant_id = :tenant AND lower(user_principal_name) = lower(:upn) AND deleted_at IS NULL"
)


@dataclass(frozen=True)
class Issuer:
    id: UUID
    tenant_id: UUID
    tenant_name: str
    display_name: str
    issuer: str
    """Its address, as its tokens name it."""
    client_id: str
    client_secret: bytes | None = field(repr=False)
    """Encrypted; None: we are a public client there."""
    user_claim: str
    """The claim whose value is a user principal name."""


def find(connection: Connection, id_: UUID) -> Issuer | None:
    """None where there is none, or it is disabled."""
    row = connection.execute(_BY_ID, {"id": id_}).one_or_none()
    return None if row is None else _issuer(row)


def offered(connection: Connection, tenant: UUID) -> Sequence[Issuer]:
    """Those of a tenant."""
    return [_issuer(row) for row in connection.execute(_OF_TENANT, {"tenant": tenant})]


def any_there(connection: Connection) -> bool:
    """Whether any tenant has one: else nobody needs to be asked."""
    return bool(connection.execute(_ANY).scalar_one())


def tenant_called(connection: Connection, name: str) -> UUID | None:
    found: UUID | None = connection.execute(_NAMED, {"name": name.strip()}).scalar_one_or_none()
    return found


def tenant_of(connection: Connection, user_principal_name: str) -> UUID | None:
    """The tenant that a name like this one belongs to: called like what is after the @, or the only one that has
    people with such names. None where several have: then none of them has the say."""
    suffix = user_principal_name.strip().rpartition("@")[2]
    if not suffix:
        return None
    own = tenant_called(connection, suffix)
    if own is not None:
        return own
    found = connection.execute(_WITH_SUFFIX, {"suffix": suffix}).scalars().all()
    return found[0] if len(found) == 1 else None


def person(connection: Connection, issuer: Issuer, user_principal_name: str) -> SignedIn | None:
    """Whom an issuer means: always somebody of its own tenant. None: nobody, or somebody who is disabled."""
    of = {"tenant": issuer.tenant_id, "upn": user_principal_name}
    found = connection.execute(_PERSON, of).scalar_one_or_none()
    return None if found is None else sign_in.find(connection, issuer.tenant_id, found)


def _issuer(row: "Row[Any]") -> Issuer:
    return Issuer(**row._mapping)
