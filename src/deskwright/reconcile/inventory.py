"""Comparing the ledger with what the providers really have (L4)."""

import json
import logging
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.resources import is_ours
from deskwright.domain.rules import Refused
from deskwright.providers.contract import Found, NotYet, ProviderError, Providers
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.settings import TenantSettings

log = logging.getLogger(__name__)
_PROVIDERS = ("compute", "directory", "management")

# An object with one of our keys whose row is closed (a late answer, a woken zombie): the row is opened again and due.
# One whose row is open is as it should be; one that is still intended was just being made.
_REOPEN = text(
    """
    UPDATE ledger l SET state = 'created', external_id = f.external_id, release_at = tenant_now(:tenant),
           released_at = NULL, last_error = 'found in the inventory after its release'
      FROM jsonb_to_recordset(CAST(:found AS jsonb)) AS f (key text, external_id text)
     WHERE l.tenant_id = :tenant AND l.key = f.key AND l.state = 'released' RETURNING l.key
    """
)
_UNKNOWN = text(
    """
    SELECT f.key FROM jsonb_to_recordset(CAST(:found AS jsonb)) AS f (key text)
     WHERE NOT EXISTS (SELECT 1 FROM ledger l WHERE l.tenant_id = :tenant AND l.key = f.key)
    """
)
_MISSING = text(
    """
    SELECT key, kind FROM ledger WHERE site_id = :site AND state = 'created' AND intended_at < :started
       AND NOT (key = ANY(:keys)) LIMIT 1000
    """
)
_STRANGER = text(
    """
    INSERT INTO strangers (site_id, external_id, tenant_id, kind, name, first_seen_at, last_seen_at)
    SELECT :site, f.external_id, :tenant, f.kind, f.name, tenant_now(:tenant), tenant_now(:tenant)
      FROM jsonb_to_recordset(CAST(:found AS jsonb)) AS f (external_id text, kind text, name text)
    ON CONFLICT (site_id, external_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
    """
)


@dataclass
class Difference:
    """What a comparison of one site found."""

    site: str
    reopened: list[str] = field(default_factory=list)
    """Keys of ours found after their release: they are cleaned up now."""
    strangers: list[Found] = field(default_factory=list)
    """Objects Deskwright did not make: reported, never deleted."""
    missing: list[str] = field(default_factory=list)
    """Keys the ledger counts on and the provider does not have."""
    unreachable: str = ""
    """Why the site could not be looked at, where it could not."""

    def __bool__(self) -> bool:
        return bool(self.reopened or self.strangers or self.missing or self.unreachable)


def sweep_inventory(world: World, tenant: UUID) -> None:
    """The job of the deadline: compare every site, and set the next time."""
    compare_tenant(world, tenant)
    with world.database.begin() as connection:
        settings = TenantSettings(
            **connection.execute(text("SELECT settings FROM tenants WHERE id = :id"), {"id": tenant}).scalar_one()
        )
        connection.execute(
            text("UPDATE tenants SET next_inventory_at = tenant_now(id) + make_interval(secs => :s) WHERE id = :id"),
            {"id": tenant, "s": settings.inventoryIntervalInHours * 3600},
        )


def compare_tenant(world: World, tenant: UUID) -> list[Difference]:
    """Compare all sites of a tenant; returns those where something differs."""
    with world.database.engine.connect() as connection:
        sites = connection.execute(text("SELECT id, name FROM sites WHERE tenant_id = :t ORDER BY name"), {"t": tenant})
        found = [_compare(world, tenant, site.id, site.name) for site in sites.all()]
    return [difference for difference in found if difference]


def _compare(world: World, tenant: UUID, site: UUID, name: str) -> Difference:
    """One site that does not answer hides nothing of the others."""
    try:
        return compare_site(world, tenant, site)
    except (NotYet, ProviderError, Refused) as silent:
        log.warning("site %s cannot be compared: %s", name, silent)
        reason = silent.values.get("reason", silent.code) if isinstance(silent, ProviderError) else str(silent)
        return Difference(name, unreachable=str(reason))


def compare_site(world: World, tenant: UUID, site_id: UUID) -> Difference:
    site = load_site(world.database, site_id)
    providers = providers_for(world.database, site)
    with world.database.engine.connect() as connection:
        started = connection.execute(text("SELECT tenant_now(:t)"), {"t": tenant}).scalar_one()
    found = _all(providers)
    ours = [f for f in found if is_ours(f.key)]
    difference = Difference(site.name, strangers=[f for f in found if not is_ours(f.key)])
    with world.database.begin() as connection:
        listed = json.dumps([{"key": f.key, "external_id": f.external_id} for f in ours if not f.disabled])
        difference.reopened = list(connection.execute(_REOPEN, {"tenant": tenant, "found": listed}).scalars())
        unknown = set(connection.execute(_UNKNOWN, {"tenant": tenant, "found": listed}).scalars())
        difference.strangers += [f for f in ours if f.key in unknown]
        values: dict[str, Any] = {"site": site_id, "started": started, "keys": [f.key for f in ours]}
        difference.missing = [row.key for row in connection.execute(_MISSING, values)]
        _note_strangers(connection, tenant, site_id, difference.strangers)
    return difference


def _all(providers: Providers) -> list[Found]:
    return [found for name in _PROVIDERS for found in providers.of(name).inventory()]


def _note_strangers(connection: Connection, tenant: UUID, site: UUID, strangers: list[Found]) -> None:
    listed = json.dumps([{"external_id": f.external_id, "kind": f.kind, "name": f.name} for f in strangers])
    connection.execute(_STRANGER, {"site": site, "tenant": tenant, "found": listed})
    connection.execute(
        text(
            "DELETE FROM strangers WHERE site_id = :site AND last_seen_at < tenant_now(:tenant) "
            "AND NOT (external_id = ANY(:seen))"
        ),
        {"site": site, "tenant": tenant, "seen": [f.external_id for f in strangers]},
    )
