"""Images that Cloud PCs are made from: the gallery's, and the tenant's own (device images)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, text

from deskwright.domain.images import GALLERY, check_version, gallery_image
from deskwright.domain.rules import Refused
from deskwright.operations import named, sites
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item, Noun
from deskwright.reconcile.images import drop_file, take_away
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import device_images

OS_FAMILIES = ("linux", "windows")
SOURCES = ("gallery", "uri")


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "version": row.version,
        "siteId": str(row.site_id),
        "source": row.source,
        "operatingSystem": row.operating_system,
        "osFamily": row.os_family,
        "sizeInGB": row.disk_gb,
        "status": row.status,
        "errorCode": row.error_code,
        "errorDetail": row.error_detail,
        "progressShare": row.progress_share,
        "progressText": row.progress_text,
        "seen": row.seen,
        "checksum": row.checksum,
        "createdDateTime": row.created_at,
    }


IMAGE = Noun("deviceImage", "device image", device_images, "displayName", "display_name", _present, "image")

# E9. A policy names an image, not a version: one of several may go while another ready one stays at the site.
_USES = text(
    """
    SELECT ARRAY(SELECT p.display_name FROM policies p
                  WHERE p.tenant_id = i.tenant_id AND p.image_type = 'custom'
                    AND lower(p.device_image) = lower(i.display_name)
                    AND NOT EXISTS (SELECT 1 FROM device_images o
                                     WHERE o.tenant_id = i.tenant_id AND lower(o.display_name) = lower(i.display_name)
                                       AND o.site_id = i.site_id AND o.id <> i.id AND o.status = 'ready')
                  ORDER BY lower(p.display_name)) AS policies,
           EXISTS (SELECT 1 FROM cloud_pcs c
                    WHERE c.tenant_id = i.tenant_id AND c.status <> 'gone'
                      AND c.device_image_id = i.id)
             OR EXISTS (SELECT 1 FROM runs r
                         WHERE r.tenant_id = i.tenant_id AND r.state = 'active' AND r.policy ->> 'image_type' = 'custom'
                           AND lower(r.policy ->> 'device_image') = lower(i.display_name)) AS cloud_pcs
      FROM device_images i WHERE i.tenant_id = :tenant AND i.id = :id
    """
)
_SITES = text("SELECT id, name FROM sites WHERE tenant_id = :tenant")


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    version: str,
    region: str,
    source: Mapping[str, Any],
    operating_system: str = "",
    os_family: str = "",
    size_in_gb: int | None = None,
    confirmed: bool = False,
) -> Item:
    """Add a device image at a site, from a gallery image or a file's address. It is pending until it is built."""
    name = named.check_name("displayName", display_name)
    values = {
        "display_name": name,
        "version": check_version(version),
        **_from_source(source, operating_system, os_family, size_in_gb),
    }
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        site = sites.in_region(opened.connection, tenant, region)
        c = device_images.c
        same = select(c.id).where(
            IMAGE.of(tenant), func.lower(c.display_name) == func.lower(name), c.version == version, c.site_id == site.id
        )
        if opened.connection.execute(same).first():
            rule = f"version {version} of it is at site {site.name} already"
            raise Refused("displayName", name, rule, code="nameAlreadyExists", remedy="Give it a new version")
        now = func.tenant_now(tenant.id)
        row = named.create(opened, IMAGE, **values, site_id=site.id, status="pending", next_step_at=now)
        return {**_present(row), "region": site.name}


def create_everywhere(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    version: str,
    source: Mapping[str, Any],
    operating_system: str = "",
    os_family: str = "",
    size_in_gb: int | None = None,
    regions: Sequence[str] | None = None,
    confirmed: bool = False,
) -> UUID:
    """Add a device image at every site of the tenant, as clients do that know no sites; or at those that `regions`
    names. Returns the image's id."""
    name = named.check_name("displayName", display_name)
    columns = {"version": check_version(version), **_from_source(source, operating_system, os_family, size_in_gb)}
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        c = device_images.c
        same = select(c.id).where(
            IMAGE.of(tenant), func.lower(c.display_name) == func.lower(name), c.version == version
        )
        if opened.connection.execute(same.limit(1)).first():
            rule = f"version {version} of it is there already"
            raise Refused("displayName", name, rule, code="nameAlreadyExists", remedy="Give it a new version")
        if regions is None:
            at = _site_names(opened.connection, tenant)
        else:
            chosen = [sites.in_region(opened.connection, tenant, region) for region in regions]
            at = {site.id: site.name for site in chosen}
        return _copy(opened, at, {"display_name": name, **columns})


def rename(
    database: Database, tenant: TenantRef, actor: str, image: UUID, display_name: str, *, confirmed: bool = False
) -> None:
    """Give an image another name, at every site; only while nothing uses it, as policies go by its name."""
    name = named.check_name("displayName", display_name)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        copies = _copies(opened.connection, tenant, image)
        c = device_images.c
        taken = select(c.id).where(
            IMAGE.of(tenant),
            func.lower(c.display_name) == func.lower(name),
            c.version == copies[0].version,
            c.image_id != image,
        )
        if opened.connection.execute(taken.limit(1)).first():
            raise Refused("displayName", name, f"has a version {copies[0].version} already", code="nameAlreadyExists")
        for row in copies:
            if row.display_name != name:
                _refuse_used(opened, row, "can be renamed only while nothing uses it")
            named.modify(opened, IMAGE, row, display_name=name)


def upload_again(
    database: Database,
    tenant: TenantRef,
    actor: str,
    image: UUID,
    *,
    everywhere: bool = True,
    confirmed: bool = False,
) -> None:
    """Build the copies that failed anew and, with `everywhere`, make one at each site that has none."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        copies = _copies(opened.connection, tenant, image)
        missing = _site_names(opened.connection, tenant) if everywhere else {row.site_id: "" for row in copies}
        for row in copies:
            del missing[row.site_id]
        failed = [row.id for row in copies if row.status == "failed"]
        if not failed and not missing:
            rule = f"is {copies[0].status} at every site; only one that failed can be uploaded again"
            raise Refused("deviceImage", copies[0].display_name, rule, code="notAllowed")
        now = func.tenant_now(tenant.id)
        query = device_images.update().where(IMAGE.of(tenant), device_images.c.id.in_(failed))
        opened.connection.execute(
            query.values(status="pending", error_code=None, error_detail=None, next_step_at=now, modified_at=now)
        )
        kept = ("display_name", "version", "source", "operating_system", "os_family", "disk_gb")
        if missing:
            _copy(opened, missing, {name: copies[0]._mapping[name] for name in kept})
        opened.audit("Upload device image again", IMAGE.kind, [event(image, copies[0].display_name)])


def delete_everywhere(
    database: Database, tenant: TenantRef, actor: str, image: UUID, *, confirmed: bool = False
) -> None:
    """E9, for an image's copies at every site."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        copies = _copies(opened.connection, tenant, image)
        for row in copies:
            _refuse_used(opened, row, "can be deleted only while nothing uses it")
            named.remove(opened, IMAGE, row)
    _take_away(database, copies)


def delete(
    database: Database,
    tenant: TenantRef,
    actor: str,
    image: str,
    *,
    version: str | None = None,
    region: str | None = None,
    confirmed: bool = False,
) -> Item:
    """E9: only while no policy and no Cloud PC uses it."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = _one(opened.connection, tenant, image, version, region)
        _refuse_used(opened, row, "can be deleted only while nothing uses it")
        named.remove(opened, IMAGE, row)
    _take_away(database, [row])
    return _present(row)


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    """The tenant's own images."""
    with database.single.connect() as connection:
        names = _site_names(connection, tenant)
        rows = named.page(connection, tenant, IMAGE, after, limit)
        return [{**_present(row), "region": names[row.site_id]} for row in rows]


def show(
    database: Database, tenant: TenantRef, image: str, *, version: str | None = None, region: str | None = None
) -> Item:
    with database.single.connect() as connection:
        row = _one(connection, tenant, image, version, region)
        return {**_present(row), "region": _site_names(connection, tenant)[row.site_id]}


def list_gallery(database: Database, tenant: TenantRef) -> list[Item]:
    """What the gallery offers on the tenant's present day, in the order of the catalogue."""
    with database.single.connect() as connection:
        today = connection.execute(select(func.tenant_now(tenant.id))).scalar_one().date()
    return [
        {
            "id": image.id,
            "displayName": image.display_name,
            "publisherName": image.publisher,
            "offerName": image.offer,
            "skuName": image.sku,
            "osFamily": image.os_family,
            "sizeInGB": image.disk_gb,
            "status": image.status_on(today),
            "startDate": image.start_date,
            "endDate": image.end_date,
            "expirationDate": image.expiration_date,
            "recommended": image.recommended,
        }
        for image in GALLERY.values()
    ]


def _one(connection: Connection, tenant: TenantRef, image: str, version: str | None, region: str | None) -> "Row[Any]":
    """The image with that id, or that name where name, version and region leave only one."""
    c = device_images.c
    query = select(device_images).where(IMAGE.of(tenant))
    wanted = named.as_id(image)
    if wanted is not None:
        row = connection.execute(query.where(c.id == wanted)).one_or_none()
        if row is not None:
            return row
    query = query.where(func.lower(c.display_name) == func.lower(image.strip()))
    if version is not None:
        query = query.where(c.version == version)
    if region is not None:
        query = query.where(c.site_id == sites.in_region(connection, tenant, region).id)
    rows = connection.execute(query.order_by(c.version, c.id)).all()
    if not rows:
        raise IMAGE.missing(image)
    if len(rows) > 1:
        names = _site_names(connection, tenant)
        there = ", ".join(f"{r.version} at {names[r.site_id]}" for r in rows)
        raise Refused(
            "deviceImage", image, f"names several: {there}", remedy="Say which by id, or by version and region"
        )
    return rows[0]


def _copies(connection: Connection, tenant: TenantRef, image: UUID) -> "Sequence[Row[Any]]":
    query = select(device_images).where(IMAGE.of(tenant), device_images.c.image_id == image)
    rows = connection.execute(query.order_by(device_images.c.created_at, device_images.c.id)).all()
    if not rows:
        raise IMAGE.missing(image)
    return rows


def _copy(opened: Change, at: Mapping[UUID, str], columns: Mapping[str, Any]) -> UUID:
    """Insert a pending copy at each of the sites; the image's id."""
    if not at:
        raise Refused("deviceImage", columns["display_name"], "the tenant has no site that could hold it")
    now = func.tenant_now(opened.tenant.id)
    made = [
        named.create(opened, IMAGE, **columns, site_id=site, status="pending", next_step_at=now).image_id for site in at
    ]
    image: UUID = made[0]
    return image


def _take_away(database: Database, copies: "Sequence[Row[Any]]") -> None:
    """What the sites and this machine have of them."""
    for row in copies:
        take_away(database, row.site_id, row.id)
        drop_file(database, row.tenant_id, row.source)


def _refuse_used(opened: Change, row: "Row[Any]", rule: str) -> None:
    uses = opened.connection.execute(_USES, {"tenant": opened.tenant.id, "id": row.id}).one()
    if uses.policies or uses.cloud_pcs:
        users = [*(f"policy {p}" for p in uses.policies), *(["Cloud PCs"] if uses.cloud_pcs else [])]
        shown = f"{row.display_name} {row.version}"
        raise Refused("deviceImage", shown, f"{rule}: {', '.join(users)}", code="notAllowed")


def _site_names(connection: Connection, tenant: TenantRef) -> dict[UUID, str]:
    return {row.id: row.name for row in connection.execute(_SITES, {"tenant": tenant.id})}


def _from_source(
    source: Mapping[str, Any], operating_system: str, os_family: str, size_in_gb: int | None
) -> dict[str, Any]:
    if len(source) != 1 or next(iter(source)) not in SOURCES:
        raise Refused("source", dict(source), f"must give one of: {', '.join(SOURCES)}")
    kind, where = next(iter(source.items()))
    where = named.check_name(f"source.{kind}", str(where), longest=2000)
    if size_in_gb is not None and size_in_gb < 1:
        raise Refused("sizeInGB", size_in_gb, "must be at least 1")
    if kind == "gallery":
        found = gallery_image(where)
        return {
            "source": {"gallery": found.id},
            "operating_system": operating_system or found.display_name,
            "os_family": _check_family(os_family or found.os_family),
            "disk_gb": size_in_gb or found.disk_gb,
        }
    family = _check_family(os_family or "linux")
    # 64 GB: what an image's disk usually is, `reference/windows-365-facts.md` section 1.
    return {
        "source": {kind: where},
        "operating_system": operating_system,
        "os_family": family,
        "disk_gb": size_in_gb or 64,
    }


def _check_family(family: str) -> str:
    if family not in OS_FAMILIES:
        raise Refused("osFamily", family, f"must be one of: {', '.join(OS_FAMILIES)}")
    return family
