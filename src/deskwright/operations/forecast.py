"""Forecasts (R4): what a change would need of seats, addresses and room, against what there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.plans import Size
from deskwright.operations.change import TenantRef
from deskwright.providers.contract import Network
from deskwright.providers.registry import Site, providers_for
from deskwright.store.database import Database

ADDRESSES_EACH = 3
"""One for each attempt: a failed one's stays taken until its clean-up (L2)."""
MOST_ASKED = 12
"""Providers are asked one after the other, while somebody waits."""

_SEATS = text(
    """
    SELECT p.id, p.display_name, p.seats, p.seats_used, p.vcpu_count, p.ram_gb, p.storage_gb,
           (SELECT count(*) FROM cloud_pcs c WHERE c.plan_id = p.id AND c.status = 'pendingProvision') AS pending
      FROM service_plans p WHERE p.tenant_id = :tenant AND p.id = ANY(:plans) ORDER BY lower(p.display_name)
    """
)
_CONNECTIONS = text(
    """
    SELECT k.id, k.display_name, k.network, k.subnet, k.health_status, k.site_id, s.name AS site, s.compute,
           s.directory, s.management
      FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id JOIN sites s ON s.id = k.site_id
     WHERE pc.tenant_id = :tenant AND pc.policy_id = :policy ORDER BY pc.position
    """
)
_SITES = text(
    """
    SELECT s.id AS site_id, s.name AS site, s.compute, s.directory, s.management
      FROM policies p JOIN sites s ON s.tenant_id = p.tenant_id AND s.region_group = p.region_group
       AND (p.region IS NULL OR s.name = p.region OR s.region = p.region)
     WHERE p.tenant_id = :tenant AND p.id = :policy ORDER BY s.created_at, s.name
    """
)


@dataclass(frozen=True)
class Seats:
    """Of one service plan."""

    plan: str
    seats: int
    in_use: int
    new: int
    """Cloud PCs of this plan that the change makes due."""
    waiting: int
    """Those that wait already; they are older and go first."""

    @property
    def free(self) -> int:
        return max(self.seats - self.in_use, 0)

    @property
    def queue(self) -> int:
        """How many of the new ones wait for a seat (E6)."""
        return min(max(self.new + self.waiting - self.free, 0), self.new)


@dataclass(frozen=True)
class Addresses:
    """Of one connection's subnet."""

    connection_id: str
    connection: str
    subnet: str
    health: str
    used: bool
    """The first that can be used; the others stand in for it."""
    cloud_pcs: int
    free: int | None
    """None: its provider does not say."""

    @property
    def may_need(self) -> int:
        return self.cloud_pcs * ADDRESSES_EACH

    @property
    def short(self) -> int:
        return 0 if self.free is None else max(self.may_need - self.free, 0)


@dataclass(frozen=True)
class Room:
    """Whether one more machine of a plan fits at a site now; None: its provider does not say."""

    site: str
    plan: str
    fits: bool | None


@dataclass(frozen=True)
class Ground:
    """What the policy stands on, as read inside the change; the providers are asked after it."""

    connections: "Sequence[Row[Any]]"
    sites: "Sequence[Row[Any]]"
    plans: "Sequence[Row[Any]]"


def ground(connection: Connection, tenant: TenantRef, policy: UUID, plans: Sequence[UUID]) -> Ground:
    """Three queries."""
    of = {"tenant": tenant.id, "policy": policy}
    wired = connection.execute(_CONNECTIONS, of).all()
    sites = wired or connection.execute(_SITES, of).all()
    return Ground(wired, sites, connection.execute(_SEATS, {**of, "plans": list(plans)}).all())


def seats(ground: Ground, new: Mapping[UUID, int], leaving: Mapping[UUID, int]) -> list[Seats]:
    """By plan; `leaving`: how many of those that wait for it leave the queue by the change."""
    return [
        Seats(p.display_name, p.seats, p.seats_used, new.get(p.id, 0), max(p.pending - leaving.get(p.id, 0), 0))
        for p in ground.plans
    ]


def addresses(database: Database, tenant: TenantRef, ground: Ground, cloud_pcs: int) -> list[Addresses]:
    """What each connection's subnet has free, as its provider counts it now, against three for each Cloud PC."""
    first = next((k.id for k in ground.connections if k.health_status != "failed"), None)
    found = []
    for k in ground.connections[:MOST_ASKED]:
        network = Network(k.id, k.network, k.subnet)
        try:
            free: int | None = _providers(database, tenant, k).compute.free_addresses(network)
        except Exception:  # noqa: BLE001 - a forecast that cannot be made must not stop the change
            free = None
        found.append(Addresses(str(k.id), k.display_name, k.subnet, k.health_status, k.id == first, cloud_pcs, free))
    return found


def room(database: Database, tenant: TenantRef, ground: Ground, new: Mapping[UUID, int]) -> list[Room]:
    """For each plan that is needed, until the first site with room for one: that is where a Cloud PC goes."""
    found: list[Room] = []
    asked = 0
    for plan in (p for p in ground.plans if new.get(p.id)):
        size = Size(plan.vcpu_count, plan.ram_gb, plan.storage_gb)
        for site in ground.sites:
            if asked == MOST_ASKED:
                return found
            asked += 1
            try:
                fits: bool | None = _providers(database, tenant, site).compute.has_room(size)
            except Exception:  # noqa: BLE001 - see above
                fits = None
            found.append(Room(site.site, plan.display_name, fits))
            if fits:
                break
    return found


def _providers(database: Database, tenant: TenantRef, row: "Row[Any]") -> Any:
    site = Site(tenant.id, row.site_id, row.site, row.compute, row.directory, row.management)
    return providers_for(database, site)
