"""Provisioning policies: where, what and how, once, for everyone in the groups they are assigned to."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy import delete as delete_from

from deskwright.domain.naming import DEFAULT_TEMPLATE, check_policy_name, check_template, device_name
from deskwright.domain.rules import Refused
from deskwright.operations import assignments, named, organization, policy_ground
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.policy_ground import Ground
from deskwright.operations.policy_view import POLICY, present
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import policies, policy_connections, users

Look = Callable[[Change, UUID], None]
"""Is shown a change of the policy with that id before it is taken back: with one, nothing is made."""

# E7: everyone else's Cloud PC was made, or is being made, by the policy as it was.
_PENDING = (
    "SELECT user_id FROM cloud_pcs WHERE tenant_id = :tenant AND policy_id = :policy AND status = 'pendingProvision'"
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    description: str = "",
    provisioning_type: str = "dedicated",
    join_type: str = "azureADJoin",
    connections: Sequence[str] = (),
    region_group: str = "",
    region: str = "",
    gallery_image: str | None = None,
    device_image: str | None = None,
    naming_template: str = DEFAULT_TEMPLATE,
    locale: str | None = None,
    single_sign_on: bool = True,
    local_admin_enabled: bool = False,
    kept: Mapping[str, Any] | None = None,
    groups: Sequence[str] = (),
    confirmed: bool = False,
    look: Look | None = None,
) -> Item:
    """Add a policy, and assign it to `groups` in that order.

    Without a locale it is the organization's language. `kept` properties are told again, and mean nothing. With `look`
    nothing is made.
    """
    name = check_policy_name(display_name)
    values = {
        "display_name": name,
        "description": description.strip(),
        "provisioning_type": policy_ground.check_provisioning_type(provisioning_type),
        "naming_template": check_template(naming_template),
        "single_sign_on": single_sign_on,
        "local_admin_enabled": local_admin_enabled,
        "kept_properties": _kept({}, kept or {}),
        "created_by": actor,
        "modified_by": actor,
    }
    with change(database, tenant, actor, confirmed=confirmed, dry_run=look is not None) as opened:
        check_name(opened.connection, tenant, name)
        values["locale"] = policy_ground.check_locale(locale or organization.language(opened.connection, tenant))
        place = policy_ground.ground(
            opened.connection,
            tenant,
            join_type=join_type,
            connections=connections,
            region_group=region_group,
            region=region,
        )
        image = policy_ground.image(opened.connection, tenant, place, gallery=gallery_image, device=device_image)
        now = func.tenant_now(tenant.id)
        new = insert(policies).values(
            tenant_id=tenant.id, created_at=now, modified_at=now, **values, **place.columns, **image
        )
        row = opened.connection.execute(new.returning(*policies.c)).one()
        _connect(opened, row.id, place)
        item = present(opened.connection, tenant, [row])[0]
        opened.audit("Create provisioning policy", POLICY.kind, [event(row.id, row.display_name, None, item)])
        if groups:
            assignments.replace(opened, row, groups)
        if look:
            look(opened, row.id)
        return present(opened.connection, tenant, [row])[0]


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    policy: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    provisioning_type: str | None = None,
    join_type: str | None = None,
    connections: Sequence[str] | None = None,
    region_group: str | None = None,
    region: str | None = None,
    gallery_image: str | None = None,
    device_image: str | None = None,
    naming_template: str | None = None,
    locale: str | None = None,
    single_sign_on: bool | None = None,
    local_admin_enabled: bool | None = None,
    kept: Mapping[str, Any] | None = None,
    confirmed: bool = False,
    look: Look | None = None,
) -> Item:
    """Change what is given, for Cloud PCs provisioned or reprovisioned from now on (E7).

    Giving connections leaves the Microsoft-hosted kind of network, giving a region leaves the connections. With `look`
    nothing is changed.
    """
    values: dict[str, Any] = {
        "display_name": None if display_name is None else check_policy_name(display_name),
        "description": None if description is None else description.strip(),
        "naming_template": None if naming_template is None else check_template(naming_template),
        "locale": None if locale is None else policy_ground.check_locale(locale),
        "single_sign_on": single_sign_on,
        "local_admin_enabled": local_admin_enabled,
    }
    if provisioning_type is not None:
        policy_ground.check_provisioning_type(provisioning_type)
    with change(database, tenant, actor, confirmed=confirmed, dry_run=look is not None) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        before = present(opened.connection, tenant, [row])[0]
        if values["display_name"] is not None:
            check_name(opened.connection, tenant, values["display_name"], besides=row.id)
        columns = {k: v for k, v in values.items() if v is not None}
        if kept is not None:
            columns["kept_properties"] = _kept(row.kept_properties, kept)
        place = _ground_after(opened, row, before, join_type, connections, region_group, region)
        moved = any(given is not None for given in (join_type, connections, region_group, region))
        columns |= place.columns
        if moved or gallery_image is not None or device_image is not None:
            had = (None, None) if gallery_image or device_image else (row.gallery_image, row.device_image)
            wanted = {"gallery": gallery_image or had[0], "device": device_image or had[1]}
            columns |= policy_ground.image(opened.connection, tenant, place, **wanted)
        item = _save(opened, row, before, columns, place)
        if look:
            look(opened, row.id)
        return item


def delete(database: Database, tenant: TenantRef, actor: str, policy: str, *, confirmed: bool = False) -> Item:
    """E9: only while it is assigned to no group."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        item = present(opened.connection, tenant, [row])[0]
        if item["assignments"]:
            names = ", ".join(a["groupDisplayName"] for a in item["assignments"])
            raise Refused(
                "provisioningPolicy",
                row.display_name,
                f"can be deleted only while it is assigned to no group; it is assigned to {names}",
                code="notAllowed",
                remedy="Unassign it first",
            )
        opened.connection.execute(
            delete_from(policies).where(policies.c.tenant_id == tenant.id, policies.c.id == row.id)
        )
        opened.audit("Delete provisioning policy", POLICY.kind, [event(row.id, row.display_name, item, None)])
        return item


def list_(
    database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100, wanted: str = ""
) -> list[Item]:
    """Policies in the order of their names; only those whose name contains `wanted`."""
    with database.single.connect() as connection:
        rows = named.page(connection, tenant, POLICY, after, limit, *named.matching(POLICY, wanted))
        return present(connection, tenant, rows)


def check_name(connection: Connection, tenant: TenantRef, name: str, besides: UUID | None = None) -> str:
    """The name as it is kept, or Refused: characters that no policy's name has, or another policy's name."""
    name = check_policy_name(name)
    named.refuse_taken(connection, tenant, POLICY, name, besides=besides)
    return name


def example_names(connection: Connection, tenant: TenantRef, template: str) -> list[tuple[str, str]]:
    """Three people of the tenant (or made-up ones) and what their Cloud PCs may be called. Raises Refused."""
    check_template(template)
    u = users.c
    some = select(u.user_principal_name).where(u.tenant_id == tenant.id, u.deleted_at.is_(None))
    people = list(connection.execute(some.order_by(func.lower(u.user_principal_name)).limit(3)).scalars())
    people += [f"{name}@{tenant.name}" for name in ("adele", "alex", "zoe")][len(people) :]
    # Always the same letters, so that only what one types changes.
    number = count(3, 7)
    return [(p, device_name(template, p, lambda letters: letters[next(number) % len(letters)])) for p in people]


def show(database: Database, tenant: TenantRef, policy: str) -> Item:
    with database.single.connect() as connection:
        return present(connection, tenant, [named.one(connection, tenant, POLICY, policy)])[0]


def _ground_after(
    opened: Change,
    row: "Row[Any]",
    before: Item,
    join_type: str | None,
    connections: Sequence[str] | None,
    region_group: str | None,
    region: str | None,
) -> Ground:
    had = [UUID(j["onPremisesConnectionId"]) for j in before["domainJoinConfigurations"] if j["onPremisesConnectionId"]]
    if connections is None and region_group is None and region is None:
        kept: Sequence[str | UUID] = had
        group, name = row.region_group or "", row.region or ""
    elif connections:
        kept, group, name = connections, region_group or "", region or ""
    else:
        # A region group that is not given again stays; another one makes the region automatic unless that is given too.
        kept, group = [], region_group or (row.region_group or "" if region is not None else "")
        name = region or ""
    return policy_ground.ground(
        opened.connection,
        opened.tenant,
        join_type=join_type or row.join_type,
        connections=kept,
        region_group=group,
        region=name,
        known=frozenset(had),
    )


def _save(opened: Change, row: "Row[Any]", before: Item, columns: dict[str, Any], place: Ground) -> Item:
    connection, tenant = opened.connection, opened.tenant
    wired = [str(c.id) for c in place.connections]
    rewired = wired != [
        j["onPremisesConnectionId"] for j in before["domainJoinConfigurations"] if j["onPremisesConnectionId"]
    ]
    if not rewired and all(row._mapping[k] == v for k, v in columns.items()):
        return before
    if rewired:
        c = policy_connections.c
        connection.execute(delete_from(policy_connections).where(c.tenant_id == tenant.id, c.policy_id == row.id))
        _connect(opened, row.id, place)
    mine = policies.c.tenant_id == tenant.id, policies.c.id == row.id
    now = func.tenant_now(tenant.id)
    new = {"revision": policies.c.revision + 1, "modified_at": now, "modified_by": opened.actor, **columns}
    after = connection.execute(update(policies).where(*mine).values(**new).returning(*policies.c)).one()
    item = present(connection, tenant, [after])[0]
    named.write_difference(opened, POLICY, row.id, before, item)
    opened.touch(_PENDING, "Provisioning policy edited", after.display_name, policy=row.id)
    return item


def _kept(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _connect(opened: Change, policy: UUID, place: Ground) -> None:
    rows = [
        {"policy_id": policy, "tenant_id": opened.tenant.id, "position": position, "connection_id": c.id}
        for position, c in enumerate(place.connections)
    ]
    if rows:
        opened.connection.execute(insert(policy_connections), rows)
