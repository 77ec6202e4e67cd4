"""What a provisioning policy can be put together from, and why something cannot be taken: the rules of `policy_ground`,
told before anybody breaks them."""

from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from deskwright.checks.table import CHECKS
from deskwright.domain.images import GALLERY, GalleryImage
from deskwright.operations.change import TenantRef
from deskwright.operations.images import IMAGE
from deskwright.operations.named import Item
from deskwright.operations.policy_ground import Ground, absent, expired, sites_of, today
from deskwright.store.tables import device_images, sites

MOST = 500
_CONNECTIONS = text(
    """
    SELECT k.id, k.display_name, k.connection_type, k.subnet, k.health_status, s.name AS site, failed.check_id
      FROM connections k JOIN sites s ON s.id = k.site_id
      LEFT JOIN LATERAL (SELECT check_id FROM connection_checks c WHERE c.connection_id = k.id AND c.status = 'failed'
                          ORDER BY c.started_at LIMIT 1) failed ON true
     WHERE k.tenant_id = :tenant ORDER BY lower(k.display_name) LIMIT :limit
    """
)


def connections(connection: Connection, tenant: TenantRef, known: frozenset[str] = frozenset()) -> list[Item]:
    """Every connection, and `why` a policy cannot take it now ("" where it can). `known`: ids of those it has."""
    rows = connection.execute(_CONNECTIONS, {"tenant": tenant.id, "limit": MOST})
    return [
        {
            "id": str(row.id),
            "displayName": row.display_name,
            "connectionType": row.connection_type,
            "region": row.site,
            "subnetId": row.subnet,
            "healthCheckStatus": row.health_status,
            "why": _unhealthy(row) if row.health_status == "failed" and str(row.id) not in known else "",
        }
        for row in rows
    ]


def images(connection: Connection, tenant: TenantRef, place: Ground | None) -> list[Item]:
    """Every image, the gallery's first, and `why` a policy at that place cannot take it ("" where it can).

    `value` is ``gallery:ID`` or ``device:NAME``. Without a place every site counts.
    """
    return [*_gallery(connection, tenant), *_device_images(connection, tenant, place)]


def _gallery(connection: Connection, tenant: TenantRef) -> list[Item]:
    day = today(connection, tenant)
    return [
        {
            "value": f"gallery:{image.id}",
            "displayName": image.display_name,
            "status": image.status_on(day),
            "recommended": image.recommended,
            "note": f"{image.os_family.capitalize()}, {image.disk_gb} GB. {_support(image, day)}",
            "why": expired(image, day),
        }
        for image in GALLERY.values()
    ]


def _support(image: GalleryImage, day: date) -> str:
    if day <= image.end_date:
        return f"Supported until {image.end_date}."
    return f"Its support ended {image.end_date}. Cloud PCs can be made from it until {image.expiration_date}."


def _device_images(connection: Connection, tenant: TenantRef, place: Ground | None) -> list[Item]:
    s, c = sites.c, device_images.c
    everywhere = {row.id: row.name for row in connection.execute(select(s.id, s.name).where(s.tenant_id == tenant.id))}
    needed = everywhere if place is None else sites_of(connection, tenant, place)
    query = select(c.display_name, c.site_id, c.status, c.version).where(IMAGE.of(tenant))
    copies: dict[str, list[Any]] = {}
    for row in connection.execute(query.order_by(func.lower(c.display_name), c.created_at)):
        copies.setdefault(row.display_name, []).append(row)
    found = []
    for name, rows in copies.items():
        there = {row.site_id for row in rows if row.status != "failed"}
        ready = {row.site_id for row in rows if row.status == "ready"}
        missing = [site for id_, site in needed.items() if id_ not in there]
        waits = not missing and any(id_ not in ready for id_ in needed)
        at = ", ".join(sorted({everywhere[row.site_id] for row in rows}))
        found.append(
            {
                "value": f"device:{name}",
                "displayName": name,
                "status": "failed" if not there else "pending" if waits else "ready",
                "recommended": False,
                "note": f"Version {rows[-1].version}, at {at}.{' Cloud PCs wait until it is built.' if waits else ''}",
                "why": "its build failed" if not there else absent(missing) if missing else "",
            }
        )
    return found


def _unhealthy(row: "Row[Any]") -> str:
    check = CHECKS.get(row.check_id or "")
    return f"unhealthy: {check.title}" if check else "unhealthy"
