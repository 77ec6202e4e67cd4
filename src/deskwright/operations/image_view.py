"""Device images as people see them: one image, its copies at the sites, how far each is, and what uses it."""

from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.images import GALLERY
from deskwright.operations import named
from deskwright.operations.change import TenantRef
from deskwright.operations.images import IMAGE
from deskwright.operations.named import Item
from deskwright.store.database import Database

# What one page has: the images first, then every copy of them.
_PAGE = text(
    """
    WITH page AS (
      SELECT image_id, min(lower(display_name)) AS name FROM device_images
       WHERE tenant_id = :tenant AND strpos(lower(display_name), lower(:wanted)) > 0 GROUP BY image_id
      HAVING CAST(:after AS uuid) IS NULL OR (min(lower(display_name)), image_id) > (lower(:after_name), :after)
       ORDER BY min(lower(display_name)), image_id LIMIT :limit
    )
    SELECT i.*, s.name AS site, tenant_now(:tenant) AS now FROM page p
      JOIN device_images i ON i.tenant_id = :tenant AND i.image_id = p.image_id JOIN sites s ON s.id = i.site_id
     ORDER BY p.name, p.image_id, lower(s.name)
    """
)
_ONE = text(
    """
    SELECT i.*, s.name AS site, tenant_now(:tenant) AS now FROM device_images i JOIN sites s ON s.id = i.site_id
     WHERE i.tenant_id = :tenant AND i.image_id = :image ORDER BY lower(s.name)
    """
)
_POLICIES = text(
    """
    SELECT display_name, lower(device_image) AS image, gallery_image FROM policies
     WHERE tenant_id = :tenant AND (lower(device_image) = ANY(:names) OR gallery_image = ANY(:gallery))
     ORDER BY lower(display_name)
    """
)
_CLOUD_PCS = text(
    "SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' AND device_image_id = ANY(:ids)"
)
_LOG = text(
    """
    SELECT e.at, e.actor, e.activity, e.object_id FROM audit_events e
     WHERE e.tenant_id = :tenant AND e.object_type = :kind AND e.object_id = ANY(:ids) ORDER BY e.id DESC LIMIT 50
    """
)
_VERSIONS = text(
    "SELECT DISTINCT version FROM device_images WHERE tenant_id = :tenant AND lower(display_name) = lower(:name)"
)


def list_(
    database: Database, tenant: TenantRef, wanted: str = "", after: str | None = None, limit: int = 50
) -> list[Item]:
    """Images whose name contains `wanted`, in the order of their names; `named.cursor` tells where a page ended."""
    last, _, name = (after or "").partition(":")
    values = {
        "tenant": tenant.id,
        "wanted": wanted.strip(),
        "after": named.as_id(last),
        "after_name": name,
        "limit": named.check_limit(limit),
    }
    with database.single.connect() as connection:
        rows = connection.execute(_PAGE, values).all()
        images = [_image(list(copies)) for _, copies in groupby(rows, key=lambda row: row.image_id)]
        users = policies_by_image(connection, tenant, [i["displayName"] for i in images], [])
        return [{**i, "provisioningPolicies": users.get(i["displayName"].lower(), [])} for i in images]


def show(database: Database, tenant: TenantRef, image: UUID) -> Item:
    """One image with its copies, how many Cloud PCs were made from it, and its `log`, newest first."""
    with database.single.connect() as connection:
        rows = connection.execute(_ONE, {"tenant": tenant.id, "image": image}).all()
        if not rows:
            raise IMAGE.missing(image)
        found = _image(rows)
        users = policies_by_image(connection, tenant, [found["displayName"]], [])
        ids = [row.id for row in rows]
        made = connection.execute(_CLOUD_PCS, {"tenant": tenant.id, "ids": ids}).scalar_one()
        asked = {"tenant": tenant.id, "kind": IMAGE.kind, "ids": [str(image), *map(str, ids)]}
        told = connection.execute(_LOG, asked).all()
    return {
        **found,
        "provisioningPolicies": users.get(found["displayName"].lower(), []),
        "cloudPCs": made,
        "log": _log(rows, told),
    }


def list_gallery_uses(database: Database, tenant: TenantRef) -> dict[str, list[str]]:
    """By gallery image: the policies that use it."""
    with database.single.connect() as connection:
        found = policies_by_image(connection, tenant, [], list(GALLERY))
    return {image: policies for image, policies in found.items() if image in GALLERY}


def policies_by_image(
    connection: Connection, tenant: TenantRef, names: list[str], gallery: list[str]
) -> dict[str, list[str]]:
    """By a device image's name in lower case, or a gallery image's id: the policies that use it, by name."""
    found: dict[str, list[str]] = {}
    asked = {"tenant": tenant.id, "names": [n.lower() for n in names], "gallery": gallery}
    for row in connection.execute(_POLICIES, asked):
        found.setdefault(row.image or row.gallery_image, []).append(row.display_name)
    return found


def versions(connection: Connection, tenant: TenantRef, name: str) -> list[str]:
    """The versions there are of an image of that name, the highest last."""
    found = connection.execute(_VERSIONS, {"tenant": tenant.id, "name": name.strip()}).scalars()
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def _image(copies: "list[Row[Any]] | Any") -> Item:
    first = copies[0]
    gallery = GALLERY.get(first.source.get("gallery", ""))
    statuses = {copy.status for copy in copies}
    # What fails at one site has failed; what is not ready everywhere is not ready.
    status = next(s for s in ("failed", "pending", "ready") if s in statuses)
    return {
        "id": str(first.image_id),
        "displayName": first.display_name,
        "version": first.version,
        "operatingSystem": first.operating_system,
        "osFamily": first.os_family,
        "sizeInGB": first.disk_gb,
        "source": first.source,
        "osStatus": gallery.status_on(first.now.date()) if gallery else None,
        "supportedUntil": gallery.end_date if gallery else None,
        "status": status,
        "createdDateTime": min(copy.created_at for copy in copies),
        "copies": [_copy(copy) for copy in copies],
    }


def _copy(row: "Row[Any]") -> Item:
    pending = row.status == "pending"
    ends = row.next_step_at if pending and row.next_step_at and row.next_step_at > row.modified_at else None
    return {
        "id": str(row.id),
        "siteId": str(row.site_id),
        "region": row.site,
        "status": row.status,
        "errorCode": row.error_code,
        "errorDetail": row.error_detail,
        "startedDateTime": row.modified_at if pending else None,
        "endedDateTime": None if pending else row.modified_at,
        # A provider that knows how far it is says so; otherwise it says when it will be done.
        "expectedDateTime": ends if row.progress_share is None else None,
        "share": _how_far(row, ends) if pending else None,
        "doing": row.progress_text if pending else None,
        "seen": row.seen,
        "checksum": row.checksum,
    }


def _how_far(row: "Row[Any]", ends: datetime | None) -> float:
    known: float | None = row.progress_share
    return _share(row.modified_at, row.now, ends) if known is None else known


def _share(began: datetime, now: datetime, ends: datetime | None) -> float:
    """How far a build is by its time, from 0 to 1; 0 until it is known how long it takes."""
    return min(max((now - began) / (ends - began), 0.0), 1.0) if ends else 0.0


def _log(copies: "list[Row[Any]] | Any", told: "list[Row[Any]] | Any") -> list[Item]:
    """Who asked for what, from the audit log, and what came of it, from the copies."""
    sites = {str(copy.id): copy.site for copy in copies}
    lines = [
        {"at": e.at, "actor": e.actor, "region": sites.get(e.object_id), "activity": e.activity, "errorCode": None}
        for e in told
    ]
    renamed = {e.object_id for e in told if e.activity == f"Update {IMAGE.word}"}
    for copy in copies:
        # The name is a part of the same row: once it was changed, the row no longer says when the build ended.
        if copy.status != "pending" and str(copy.id) not in renamed:
            ended = "Built and ready" if copy.status == "ready" else "Build failed"
            line = {"at": copy.modified_at, "actor": "deskwright", "region": copy.site, "activity": ended}
            lines.append({**line, "errorCode": copy.error_code})
    return sorted(lines, key=lambda line: line["at"], reverse=True)
