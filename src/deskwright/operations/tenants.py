"""Tenants: making one, its settings, and the simulated one's time."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row, func, insert, select, text

from deskwright.domain.regions import default_sites
from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.simulation import check_speed, shown_speed
from deskwright.operations import named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item
from deskwright.settings import TenantSettings
from deskwright.store import audit
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import sites, tenants


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "name": row.name,
        "revision": row.revision,
        "settings": dict(row.settings),
        "simulation": {"speed": shown_speed(row.speed), "seed": row.seed},
        "clockOffsetInSeconds": row.clock_offset,
        "createdDateTime": row.created_at,
    }


_NOT_SIMULATED = text(
    """
    SELECT name FROM sites WHERE tenant_id = :tenant AND (compute ->> 'kind' <> 'simulator'
        OR directory ->> 'kind' <> 'simulator' OR management ->> 'kind' <> 'simulator') ORDER BY name
    """
)


def create(
    database: Database,
    actor: str,
    name: str,
    *,
    default_simulated_sites: bool = True,
    settings: Mapping[str, Any] | None = None,
    speed: float | str = 1.0,
    seed: int = 0,
) -> Item:
    """Make a tenant, with one simulated site per region group unless told that its sites follow."""
    name = named.check_name("name", name, longest=120)
    values = {"name": name, "settings": _check_settings(settings or {}), "speed": check_speed(speed), "seed": seed}
    with database.begin() as connection:
        # Two that create the same name at once: the second waits here, and is then refused.
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('deskwright tenant ' || lower(:name)))"), {"name": name}
        )
        if connection.execute(select(tenants.c.id).where(func.lower(tenants.c.name) == name.lower())).first():
            raise Refused("name", name, "there is already a tenant of that name", code="nameAlreadyExists")
        # The first inventory is due at once; each sets the time of the next.
        new = insert(tenants).values(next_inventory_at=func.now(), **values)
        row = connection.execute(new.returning(*tenants.c)).one()
        if default_simulated_sites:
            rows = [
                {"tenant_id": row.id, "name": site, "region": region, "region_group": group}
                for site, region, group in default_sites()
            ]
            connection.execute(insert(sites), rows)
        item = _present(row)
        audit.write(connection, row.id, actor, "Create tenant", "tenant", [event(row.id, name, None, item)])
        return item


def list_(database: Database) -> list[Item]:
    """Every tenant of this installation: for its operator, not for a tenant's administrator."""
    with database.single.connect() as connection:
        return [_present(row) for row in connection.execute(select(tenants).order_by(func.lower(tenants.c.name)))]


def find(database: Database, name: str) -> TenantRef:
    """The tenant with that name or id."""
    c, wanted = tenants.c, named.as_id(name)
    same = func.lower(c.name) == func.lower(name.strip()) if wanted is None else c.id == wanted
    with database.single.connect() as connection:
        row = connection.execute(select(c.id, c.name).where(same)).first()
    if row is None:
        raise NotFound("tenant", name, "deskwright tenant list shows those there are")
    return TenantRef(row.id, row.name)


def show(database: Database, tenant: TenantRef) -> Item:
    with database.single.connect() as connection:
        return _present(connection.execute(select(tenants).where(tenants.c.id == tenant.id)).one())


# --- settings --------------------------------------------------------------------------------------


def get_settings(database: Database, tenant: TenantRef) -> Item:
    """Every setting with the value that counts, given or default."""
    with database.single.connect() as connection:
        given = connection.execute(select(tenants.c.settings).where(tenants.c.id == tenant.id)).scalar_one()
    return TenantSettings(**given).model_dump()


def set_settings(
    database: Database, tenant: TenantRef, actor: str, changes: Mapping[str, Any], *, confirmed: bool = False
) -> Item:
    """Change settings; None puts one back to its default. What already runs (a grace period) keeps its time."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = _row(opened)
        unknown = [key for key in changes if key not in TenantSettings.model_fields]
        if unknown:
            known = ", ".join(TenantSettings.model_fields)
            raise Refused(f"settings.{unknown[0]}", changes[unknown[0]], f"is no setting; there are: {known}")
        after = _check_settings({k: v for k, v in {**row.settings, **changes}.items() if v is not None})
        _update(opened, row, "Update settings", settings=after)
        return TenantSettings(**after).model_dump()


# --- the simulation --------------------------------------------------------------------------------


def set_simulation(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    speed: float | str | None = None,
    seed: int | None = None,
    confirmed: bool = False,
) -> Item:
    """Change how much faster than real time simulated work goes, or the seed its chances come from."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        values: dict[str, Any] = {"speed": None if speed is None else check_speed(speed), "seed": seed}
        after = _update(opened, _row(opened), "Update simulation", **{k: v for k, v in values.items() if v is not None})
        return dict(_present(after)["simulation"])


def show_clock(database: Database, tenant: TenantRef) -> Item:
    """The tenant's time, which every deadline is read against."""
    query = text("SELECT tenant_now(id) AS now, clock_offset FROM tenants WHERE id = :tenant")
    with database.single.connect() as connection:
        row = connection.execute(query, {"tenant": tenant.id}).one()
    return {"now": row.now, "clockOffsetInSeconds": row.clock_offset}


def advance_clock(database: Database, tenant: TenantRef, actor: str, by: timedelta, *, confirmed: bool = False) -> Item:
    """Move the tenant's time forward: whatever was due until then becomes due now.

    Where a site is not simulated it wants a confirmation: real machines are deleted when their grace is over.
    """
    if by <= timedelta():
        raise Refused("duration", str(by), "must be more than nothing: the clock only goes forward")
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        real = list(opened.connection.execute(_NOT_SIMULATED, {"tenant": tenant.id}).scalars())
        if real and not confirmed:
            rule = f"site {', '.join(real)} is not simulated: its grace periods and clean-ups would really come due"
            raise Refused("clock", None, rule, code="confirmationRequired", remedy="Confirm it if it is meant")
        row = _row(opened)
        _update(opened, row, "Advance clock", clock_offset=row.clock_offset + by.total_seconds())
    return show_clock(database, tenant)


def _row(opened: Change) -> "Row[Any]":
    return opened.connection.execute(select(tenants).where(tenants.c.id == opened.tenant.id)).one()


def _update(opened: Change, row: "Row[Any]", activity: str, **values: Any) -> "Row[Any]":
    different = {k: v for k, v in values.items() if row._mapping[k] != v}
    if not different:
        return row
    query = tenants.update().where(tenants.c.id == opened.tenant.id).values(**different).returning(*tenants.c)
    after = opened.connection.execute(query).one()
    old, new = _present(row), _present(after)
    keys = [k for k in new if old[k] != new[k]]
    changed = event(row.id, row.name, {k: old[k] for k in keys}, {k: new[k] for k in keys})
    opened.audit(activity, "tenant", [changed])
    return after


def _check_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked = TenantSettings(**given)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(f"settings.{field}", first["input"], first["msg"].removeprefix("Value error, ")) from invalid
    return {key: value for key, value in checked.model_dump().items() if key in given}
