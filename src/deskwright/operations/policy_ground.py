"""What a provisioning policy stands on: its network and its image, checked against what the tenant has.

A policy that could never provision is refused when it is saved, not found out by the first person it reaches.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, or_, select

from deskwright.domain.images import GalleryImage, gallery_image
from deskwright.domain.regions import check_region_group
from deskwright.domain.rules import Refused
from deskwright.operations import named, sites
from deskwright.operations.change import TenantRef
from deskwright.operations.connection_rules import HYBRID, TYPES
from deskwright.operations.connections import CONNECTION
from deskwright.operations.images import IMAGE
from deskwright.store.tables import device_images
from deskwright.store.tables import sites as site_table

AUTOMATIC = "automatic"
PROVISIONING_TYPES = ("dedicated", "shared", "sharedByUser", "sharedByEntraGroup", "reserve")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})")


@dataclass(frozen=True)
class Ground:
    """Where a policy's Cloud PCs go."""

    join_type: str
    connections: "tuple[Row[Any], ...]" = ()
    """In order: the first healthy one is used."""
    region_group: str | None = None
    """Without connections: the Microsoft-hosted kind of network in this region group,"""
    region: str | None = None
    """in this region, or None for automatic."""

    @property
    def columns(self) -> dict[str, Any]:
        return {"join_type": self.join_type, "region_group": self.region_group, "region": self.region}


def ground(
    connection: Connection,
    tenant: TenantRef,
    *,
    join_type: str,
    connections: Sequence[str | UUID],
    region_group: str,
    region: str,
    known: frozenset[UUID] = frozenset(),
) -> Ground:
    """The network as given, or Refused. `known` connections were in the policy before: their health is not asked."""
    if join_type not in TYPES:
        raise Refused("domainJoinType", join_type, f"must be one of: {', '.join(TYPES)}")
    if connections:
        if region_group or region:
            raise Refused(
                "regionGroup", region_group or region, "a policy with network connections takes its region from them"
            )
        return Ground(join_type, _connections(connection, tenant, join_type, connections, known))
    if join_type == HYBRID:
        raise Refused(
            "onPremisesConnection", None, "a hybrid join needs a network connection into the domain's network"
        )
    return _hosted(connection, tenant, join_type, region_group, region)


def _connections(
    connection: Connection, tenant: TenantRef, join_type: str, names: Sequence[str | UUID], known: frozenset[UUID]
) -> "tuple[Row[Any], ...]":
    rows = named.several(connection, tenant, CONNECTION, names)
    for row in rows:
        if row.connection_type != join_type:
            rule = f"is a connection of type {row.connection_type}; the policy's join type is {join_type}"
            raise Refused("onPremisesConnection", row.display_name, rule)
        if row.health_status == "failed" and row.id not in known:
            rule = "isn't healthy, and can't be used by a policy until it is"
            remedy = f"deskwright connection show {row.display_name!r} says what is wrong"
            raise Refused("onPremisesConnection", row.display_name, rule, code="canaryCheckUnpass", remedy=remedy)
    return tuple(rows)


def _hosted(connection: Connection, tenant: TenantRef, join_type: str, region_group: str, region: str) -> Ground:
    if not region_group and not region:
        raise Refused("regionGroup", None, "a policy needs a region group, or network connections")
    wanted = "" if region.lower() == AUTOMATIC else region
    if not region_group:
        if not wanted:
            raise Refused("regionGroup", None, "an automatic region needs its region group")
        region_group = str(sites.in_region(connection, tenant, wanted).region_group)
    here = Ground(join_type, (), check_region_group(region_group), wanted or None)
    if not sites_of(connection, tenant, here):
        place, field = (wanted, "regionName") if wanted else (region_group, "regionGroup")
        where = f" of region group {region_group}" if wanted else ""
        rule = f"this tenant has no site{where} there"
        remedy = "deskwright site list shows the sites there are"
        raise Refused(field, place, rule, code="regionNotSupported", remedy=remedy)
    return here


def sites_of(connection: Connection, tenant: TenantRef, place: Ground) -> dict[UUID, str]:
    """Every site that a Cloud PC of the policy can land on: id -> name."""
    s = site_table.c
    query = select(s.id, s.name).where(s.tenant_id == tenant.id).order_by(s.name)
    if place.connections:
        query = query.where(s.id.in_([c.site_id for c in place.connections]))
    else:
        query = query.where(s.region_group == place.region_group)
        if place.region is not None:
            query = query.where(or_(s.name == place.region, s.region == place.region))
    return {row.id: row.name for row in connection.execute(query)}


def image(
    connection: Connection, tenant: TenantRef, place: Ground, *, gallery: str | None, device: str | None
) -> dict[str, Any]:
    """The image's columns, or Refused: supported still, and where it is the tenant's own, at every site."""
    if bool(gallery) == bool(device):
        raise Refused("image", None, "a policy needs one image, from the gallery or of the tenant's own")
    if gallery:
        found = gallery_image(gallery)
        if rule := expired(found, today(connection, tenant)):
            raise Refused("image", found.id, rule, remedy="deskwright image list shows those that are")
        return {"image_type": "gallery", "gallery_image": found.id, "device_image": None}
    row = named.one(connection, tenant, IMAGE, device or "")
    c = device_images.c
    present = select(c.site_id).where(
        IMAGE.of(tenant), func.lower(c.display_name) == func.lower(row.display_name), c.status != "failed"
    )
    there = set(connection.execute(present).scalars())
    missing = [name for site, name in sites_of(connection, tenant, place).items() if site not in there]
    if missing:
        raise Refused("image", row.display_name, absent(missing), remedy="Make it there, or narrow the policy's region")
    return {"image_type": "custom", "gallery_image": None, "device_image": row.display_name}


def today(connection: Connection, tenant: TenantRef) -> date:
    """The tenant's present day."""
    now: datetime = connection.execute(select(func.tenant_now(tenant.id))).scalar_one()
    return now.date()


def expired(image: GalleryImage, day: date) -> str:
    """The rule it breaks on that day, "" where it breaks none."""
    if image.status_on(day) != "notSupported":
        return ""
    return f"is no longer supported: it expired on {image.expiration_date}"


def absent(missing: Sequence[str]) -> str:
    """The rule an image of the tenant's own breaks that is not at these sites."""
    return f"must be present at every site the policy can land on; it is missing at {', '.join(missing)}"


def check_locale(locale: str) -> str:
    if not _LOCALE.fullmatch(locale):
        raise Refused("windowsSetting.locale", locale, "must be a language and a country, such as en-US")
    return locale


def check_provisioning_type(kind: str) -> str:
    if kind != "dedicated":
        known = "is not provided yet" if kind in PROVISIONING_TYPES else "is no provisioning type"
        raise Refused("provisioningType", kind, f"{known}; the one there is: dedicated", code="notSupported")
    return kind
