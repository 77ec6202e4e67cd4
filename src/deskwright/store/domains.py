"""The domains of a tenant as their clients need them: where they are, and who reads them."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine, TextClause, text

from deskwright.active_directory.client import Account
from deskwright.active_directory.discovery import Domain
from deskwright.store.secrets import Secrets

_COLUMNS = "id, tenant_id, name, controllers, name_servers, ca_certificate, start_tls, account_name, account_password"
_NAMED = text(f"SELECT {_COLUMNS} FROM domains WHERE tenant_id = :tenant AND lower(name) = lower(:name)")
_BY_ID = text(f"SELECT {_COLUMNS} FROM domains WHERE id = :id")


@dataclass(frozen=True)
class KnownDomain:
    """A domain the tenant has described."""

    id: UUID
    tenant_id: UUID
    domain: Domain
    account_name: str
    account_password: bytes
    """Encrypted."""

    def account(self, secrets: Secrets) -> Account:
        """Who reads the directory."""
        return Account(self.account_name, secrets.decrypt(self.account_password))


def named(engine: Engine, tenant: UUID, name: str) -> KnownDomain | None:
    """The tenant's domain of that DNS name."""
    return _one(engine, _NAMED, tenant=tenant, name=name)


def by_id(engine: Engine, domain: UUID) -> KnownDomain | None:
    return _one(engine, _BY_ID, id=domain)


def where_is(engine: Engine, tenant: UUID, name: str) -> Domain:
    """How to reach a domain: as the tenant described it, or else by this machine's DNS and what it trusts."""
    known = named(engine, tenant, name)
    return known.domain if known else Domain(name)


def _one(engine: Engine, query: TextClause, **values: object) -> KnownDomain | None:
    with engine.connect() as connection:
        row = connection.execute(query, values).one_or_none()
    if row is None:
        return None
    domain = Domain(row.name, tuple(row.controllers), tuple(row.name_servers), row.ca_certificate or "", row.start_tls)
    return KnownDomain(row.id, row.tenant_id, domain, row.account_name, row.account_password)
