"""A site whose simulated machines join a real domain, and the synchronisation's part played by the test."""

import time
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from cryptography.fernet import Fernet
from sqlalchemy import text

from deskwright.active_directory import accounts
from deskwright.active_directory.accounts import Computer
from deskwright.active_directory.client import Account
from deskwright.providers.contract import DomainJoin, NotYet
from deskwright.providers.registry import providers_for
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from tests.conftest import Tenant
from tests.providers.conformance import Outside
from tests.providers.test_simulator import outside_of
from tests.real_domain import RealDomain


def describe(database: Database, tenant: UUID, real: RealDomain, **changes: Any) -> UUID:
    """The tenant's row of the domain, read by its administrator; returns its id."""
    assert database.secrets is not None
    domain = replace(real.domain, **changes)
    with database.begin() as connection:
        found: UUID = connection.execute(
            text(
                "INSERT INTO domains (tenant_id, name, controllers, name_servers, ca_certificate, account_name, "
                "account_password) VALUES (:tenant, :name, :controllers, :servers, :ca, :account, :password) "
                "ON CONFLICT (tenant_id, lower(name)) DO UPDATE SET controllers = excluded.controllers, "
                "name_servers = excluded.name_servers, ca_certificate = excluded.ca_certificate RETURNING id"
            ),
            {
                "tenant": tenant,
                "name": domain.name,
                "controllers": list(domain.controllers),
                "servers": list(domain.name_servers),
                "ca": domain.ca_certificate or None,
                "account": real.administrator.name,
                "password": database.secrets.encrypt(real.administrator.password),
            },
        ).scalar_one()
    return found


def synchronise(database: Database, tenant: UUID, real: RealDomain, names: list[str] | None = None) -> None:
    """What the synchronisation writes of computers; of all that are there, or of these."""
    with real.as_administrator() as opened:
        if names is None:
            found = list(accounts.marked(opened, real.domain.distinguished_name, "deskwright:"))
        else:
            found = [computer for name in names if (computer := accounts.find(opened, name))]
    with database.begin() as connection:
        for computer in found:
            connection.execute(
                text(
                    "INSERT INTO domain_objects (domain_id, source_id, tenant_id, kind, name, distinguished_name, "
                    "enabled, seen_at) SELECT d.id, :source, d.tenant_id, 'computer', :name, :dn, :enabled, now() "
                    "FROM domains d WHERE d.tenant_id = :tenant AND d.name = :domain ON CONFLICT DO NOTHING"
                ),
                {
                    "source": computer.id,
                    "name": computer.name,
                    "dn": computer.distinguished_name,
                    "enabled": computer.enabled,
                    "tenant": tenant,
                    "domain": real.domain.name,
                },
            )


def joining(database: Database, tenant: Tenant, real: RealDomain, joiner: Account, unit: str) -> Outside:
    """The providers of a site with a connection by which computers join into `unit`."""
    database.secrets = database.secrets or Secrets([Fernet.generate_key()])
    describe(database, tenant.id, real)
    connection_id = uuid4()
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO connections (id, tenant_id, display_name, connection_type, site_id, network, subnet, "
                "ad_domain_name, organizational_unit, ad_domain_username, ad_domain_password) VALUES (:id, :tenant, "
                "'HQ', 'hybridAzureADJoin', :site, 'corp', '10.20.0.0/24', :domain, :unit, :account, :password)"
            ),
            {
                "id": connection_id,
                "tenant": tenant.id,
                "site": tenant.site_id,
                "domain": real.domain.name,
                "unit": unit,
                "account": joiner.name,
                "password": database.secrets.encrypt(joiner.password),
            },
        )
    made = outside_of(database, tenant)
    site = replace(
        tenant.site,
        directory={"kind": "activedirectory"},
        management={"kind": "builtin"},
    )

    def pass_time(later: NotYet) -> None:
        time.sleep(0.2)  # adcli takes the time it takes
        made.pass_time(later)

    return replace(
        made,
        providers=providers_for(database, site),
        pass_time=pass_time,
        patience=200,
        domain=DomainJoin(connection_id, real.domain.name, unit, joiner.name, joiner.password),
        synchronise=lambda name: synchronise(database, tenant.id, real, [name]),
        own_names=True,
    )


def seen(real: RealDomain, name: str) -> Computer | None:
    """The computer account as the domain's administrator sees it."""
    with real.as_administrator() as opened:
        return accounts.find(opened, name)
