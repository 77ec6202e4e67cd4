"""Sites: where Cloud PCs run, and which providers serve each."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, func, select, text

from deskwright.domain.regions import REGION_GROUPS, check_region_group
from deskwright.domain.rules import Refused
from deskwright.operations import named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item, Noun
from deskwright.providers.registry import Site, providers_for, with_companions
from deskwright.store.database import Database
from deskwright.store.tables import connections, sites

# A site's configuration is shown to every reader of the tenant and stored as it is.
_SECRET_WORDS = ("password", "secret", "token", "credential", "key")


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "name": row.name,
        "regionName": row.region,
        "regionGroup": row.region_group,
        "compute": row.compute,
        "directory": row.directory,
        "management": row.management,
        "createdDateTime": row.created_at,
    }


SITE = Noun("site", "site", sites, "name", "name", _present, "site")

_USES = text(
    """
    SELECT ARRAY(SELECT display_name FROM connections WHERE site_id = :site ORDER BY 1) AS connections,
           ARRAY(SELECT display_name FROM device_images WHERE site_id = :site ORDER BY 1) AS images,
           EXISTS (SELECT 1 FROM cloud_pcs WHERE tenant_id = :tenant AND site_id = :site)
             OR EXISTS (SELECT 1 FROM ledger WHERE tenant_id = :tenant AND site_id = :site) AS history
    """
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    name: str,
    region_group: str,
    region: str = "",
    compute: Mapping[str, Any] | None = None,
    directory: Mapping[str, Any] | None = None,
    management: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Item:
    """Add a site. Its region is its name where none is given. Its compute provider is the simulator
    unless said otherwise; directory and management are those that go with it."""
    name = named.check_name("name", name, longest=64)
    region = named.check_name("region", region or name, longest=64)
    values: dict[str, Any] = {
        "name": name,
        "region": region,
        "region_group": check_region_group(region_group),
        **with_companions(compute, directory, management),
    }
    _refuse_region_elsewhere(region, region_group)
    check_providers(database, tenant, values)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, SITE, name)
        return _present(named.create(opened, SITE, **values))


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    site: str,
    *,
    name: str | None = None,
    compute: Mapping[str, Any] | None = None,
    directory: Mapping[str, Any] | None = None,
    management: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Item:
    """Rename a site or change its providers' configuration. Their kind stays once something was made there."""
    given = {"compute": compute, "directory": directory, "management": management}
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, SITE, site)
        values = {k: dict(v) for k, v in given.items() if v is not None}
        check_providers(database, tenant, {**row._mapping, **values})
        kinds = [k for k, v in values.items() if v.get("kind") != row._mapping[k].get("kind")]
        if kinds and opened.connection.execute(_USES, {"tenant": tenant.id, "site": row.id}).one().history:
            rule = "cannot change: Cloud PCs were made at this site, and only that provider can clean up after them"
            raise Refused(
                f"{kinds[0]}.kind", values[kinds[0]].get("kind"), rule, code="notAllowed", remedy="Make another site"
            )
        if name is not None:
            name = named.check_name("name", name, longest=64)
            named.refuse_taken(opened.connection, tenant, SITE, name, besides=row.id)
        return _present(named.modify(opened, SITE, row, name=name, **values))


def delete(database: Database, tenant: TenantRef, actor: str, site: str, *, confirmed: bool = False) -> Item:
    """Delete a site that nothing uses or ever used."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, SITE, site)
        uses = opened.connection.execute(_USES, {"tenant": tenant.id, "site": row.id}).one()
        named_uses = [*(f"connection {c}" for c in uses.connections), *(f"image {i}" for i in uses.images)]
        if named_uses or uses.history:
            what = ", ".join(named_uses) or "Cloud PCs that are or were there"
            raise Refused("site", row.name, f"can be deleted only while nothing uses it: {what}", code="notAllowed")
        named.remove(opened, SITE, row)
        return _present(row)


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    with database.single.connect() as connection:
        return [_present(row) for row in named.page(connection, tenant, SITE, after, limit)]


def show(database: Database, tenant: TenantRef, site: str) -> Item:
    with database.single.connect() as connection:
        return _present(named.one(connection, tenant, SITE, site))


def in_region(connection: Connection, tenant: TenantRef, region: str) -> "Row[Any]":
    """The site meant by `region`: its name or id, or its region where only one site has it. Else regionNotSupported."""
    row = named.find(connection, tenant, SITE, region)
    if row is not None:
        return row
    same = func.lower(sites.c.region) == func.lower(region.strip())
    found = connection.execute(select(sites).where(SITE.of(tenant), same)).all()
    if len(found) == 1:
        return found[0]
    several = ", ".join(sorted(r.name for r in found))
    rule = (
        f"several sites are there, name one of: {several}"
        if found
        else "this tenant has no site of that name or region"
    )
    remedy = "deskwright site list shows those there are"
    raise Refused("region", region, rule, code="regionNotSupported", remedy=remedy)


def of_network(connection: Connection, tenant: TenantRef, network: str) -> "Row[Any]":
    """The site of a network nobody gave a region for: the only one there is; where a connection into it is already; or,
    where every site is simulated and so has any network, the first that was made. Else regionNotSupported."""
    order = sites.c.created_at, func.lower(sites.c.name)
    there = connection.execute(select(sites).where(SITE.of(tenant)).order_by(*order)).all()
    if len(there) == 1:
        return there[0]
    k = connections.c
    known = select(k.site_id).where(k.tenant_id == tenant.id, func.lower(k.network) == func.lower(network)).distinct()
    reached = set(connection.execute(known).scalars())
    if len(reached) == 1:
        return next(row for row in there if row.id in reached)
    if there and all(row.compute.get("kind") == "simulator" for row in there):
        return there[0]
    rule = f"must say where the network is, one of: {', '.join(row.name for row in there) or '(no sites)'}"
    raise Refused("virtualNetworkLocation", None, rule, code="regionNotSupported")


def check_providers(database: Database, tenant: TenantRef, values: Mapping[str, Any]) -> None:
    """Refused where a kind or its configuration is not known, or a secret stands in it."""
    for provider in ("compute", "directory", "management"):
        for key in values[provider]:
            if any(word in key.lower() for word in _SECRET_WORDS):
                rule = "must not stand in a site's configuration, which is stored and shown as it is"
                raise Refused(f"{provider}.{key}", None, rule, where=f"site {values['name']}")
    three = (values["compute"], values["directory"], values["management"])
    providers_for(database, Site(tenant.id, uuid4(), values["name"], *three))


def _refuse_region_elsewhere(region: str, region_group: str) -> None:
    """A region the catalogue knows belongs to one group; other names, of one's own data centres, to any."""
    for group in REGION_GROUPS.values():
        if region.lower() in group.regions and group.name != region_group:
            rule = f"belongs to region group {group.name}, not {region_group}"
            raise Refused("region", region, rule, code="regionNotSupported")
