"""The first steps of a tenant, from nothing to the first Cloud PC (R16). How far it is, is read from the tenant each
time; nothing about it is stored."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright import jobs
from deskwright.domain.images import GALLERY
from deskwright.domain.plans import size_from_name
from deskwright.domain.regions import REGION_GROUPS, check_region_group
from deskwright.domain.rules import Refused
from deskwright.domain.simulation import shown_speed
from deskwright.domain.status import USABLE
from deskwright.operations import assignments, groups, licenses, named, policies, policy_choices, sites, tenants, users
from deskwright.operations.change import TenantRef
from deskwright.operations.groups import GROUP
from deskwright.operations.licenses import PLAN
from deskwright.operations.named import Item
from deskwright.operations.users import USER
from deskwright.provision.context import World
from deskwright.store.database import Database

SIZES: dict[str, str] = {
    "Cloud PC Enterprise 2vCPU/4GB/64GB": "Mail, documents, web pages",
    "Cloud PC Enterprise 2vCPU/8GB/128GB": "Office work with calls: right for most people",
    "Cloud PC Enterprise 4vCPU/16GB/128GB": "Large spreadsheets, reports, light programming",
    "Cloud PC Enterprise 8vCPU/32GB/256GB": "Programming, data, graphics",
}
"""Service plans to begin with, and what each is good for; any other can be made too."""
USUAL_PLAN = "Cloud PC Enterprise 2vCPU/8GB/128GB"
USUAL_SEATS = 10
GROUP_NAME = "Cloud PC users"
POLICY_NAME = "Standard desktop"
MOST_PEOPLE = 200
TO_INVITE = 20
QUICK = 60.0
"""The speed of a simulation in which a Cloud PC takes a quarter of a minute instead of one of an hour."""

_WANTED = text(
    """
    SELECT NOT EXISTS (SELECT 1 FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone')
       AND NOT (EXISTS (SELECT 1 FROM sites WHERE tenant_id = :tenant)
            AND EXISTS (SELECT 1 FROM policies WHERE tenant_id = :tenant))
    """
)
_STAND = text(
    """
    SELECT t.speed, (SELECT count(*) FROM sites WHERE tenant_id = :tenant) AS sites,
           EXISTS (SELECT 1 FROM sites WHERE tenant_id = :tenant AND (compute ->> 'kind' <> 'simulator'
              OR directory ->> 'kind' <> 'simulator' OR management ->> 'kind' <> 'simulator')) AS real,
           (SELECT count(*) FROM connections WHERE tenant_id = :tenant) AS connections,
           (SELECT count(DISTINCT display_name) FROM device_images WHERE tenant_id = :tenant) AS images,
           (SELECT count(*) FROM policies WHERE tenant_id = :tenant) AS policies,
           EXISTS (SELECT 1 FROM touched_users WHERE tenant_id = :tenant) AS undecided,
           EXISTS (SELECT 1 FROM cloud_pcs WHERE tenant_id = :tenant AND status = ANY(:usable)) AS usable,
           EXISTS (SELECT 1 FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone') AS live,
           EXISTS (SELECT 1 FROM user_credentials c JOIN users u ON u.id = c.user_id AND u.deleted_at IS NULL
                    WHERE u.tenant_id = :tenant AND c.password_hash IS NOT NULL
                      AND u.id IS DISTINCT FROM CAST(:me AS uuid)) AS others
      FROM tenants t WHERE t.id = :tenant
    """
)
_SITE = text("SELECT id, name FROM sites WHERE tenant_id = :tenant ORDER BY created_at, lower(name) LIMIT 1")
_PLAN = text(
    "SELECT id, display_name, seats, seats_used FROM service_plans WHERE tenant_id = :tenant AND seats > 0 "
    "ORDER BY created_at, lower(display_name) LIMIT 1"
)
# Groups whose people hold a licence: the group has it, or one of its people directly.
_GROUPS = text(
    """
    SELECT g.id, g.display_name, (SELECT count(*) FROM memberships m WHERE m.group_id = g.id) AS members
      FROM groups g WHERE g.tenant_id = :tenant
       AND ((EXISTS (SELECT 1 FROM license_groups l WHERE l.group_id = g.id)
             AND EXISTS (SELECT 1 FROM memberships m WHERE m.group_id = g.id))
         OR EXISTS (SELECT 1 FROM memberships m JOIN license_users l ON l.user_id = m.user_id WHERE m.group_id = g.id))
     ORDER BY g.created_at, lower(g.display_name) LIMIT :limit
    """
)
_ASSIGNED = text(
    """
    SELECT p.id, p.display_name, g.id AS group_id, g.display_name AS group_name
      FROM policy_assignments a JOIN policies p ON p.id = a.policy_id JOIN groups g ON g.id = a.group_id
     WHERE a.tenant_id = :tenant ORDER BY a.number LIMIT 1
    """
)
_IDLE_POLICY = text(
    "SELECT id, display_name FROM policies p WHERE tenant_id = :tenant AND NOT EXISTS "
    "(SELECT 1 FROM policy_assignments a WHERE a.policy_id = p.id) ORDER BY created_at, lower(display_name) LIMIT 1"
)
_MINE = text(
    "SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND user_id = :me AND status NOT IN ('gone', 'notProvisioned') "
    "ORDER BY entitled_number LIMIT 1"
)
_ANY = text(
    "SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND status NOT IN ('gone', 'notProvisioned') "
    "ORDER BY id LIMIT 1"
)
_PLACES = text("SELECT DISTINCT region_group FROM sites WHERE tenant_id = :tenant ORDER BY 1")
_UNINVITED = text(
    """
    SELECT u.id, u.user_principal_name, u.display_name,
           (SELECT max(expires_at) FROM sign_in_links l
             WHERE l.user_id = u.id AND l.used_at IS NULL AND l.expires_at > now()) AS link_until
      FROM users u WHERE u.tenant_id = :tenant AND u.deleted_at IS NULL AND u.account_enabled
       AND u.id IS DISTINCT FROM CAST(:me AS uuid)
       AND NOT EXISTS (SELECT 1 FROM user_credentials c WHERE c.user_id = u.id AND c.password_hash IS NOT NULL)
       AND NOT EXISTS (SELECT 1 FROM domains d WHERE d.id = u.domain_id AND d.sign_in = 'ldap')
       AND EXISTS (SELECT 1 FROM memberships m JOIN policy_assignments a ON a.group_id = m.group_id
                    WHERE m.user_id = u.id)
     ORDER BY lower(u.user_principal_name) LIMIT :limit
    """
)
_MOST_GROUPS = 50


def wanted(connection: Connection, tenant: TenantRef) -> bool:
    """Whether the tenant is still to be set up: it lacks a site or a policy, and has no Cloud PC."""
    return bool(connection.execute(_WANTED, {"tenant": tenant.id}).scalar_one())


def stand(world: World, tenant: TenantRef, me: UUID | None) -> Item:
    """How far the tenant is. `me`: the person who looks; None where they are of another tenant.

    For each step what there is (None: nothing yet): `site`, `plan`, `group`, `policy` with id and displayName, and how
    many there are of `sites`, `connections`, `images`, `policies`. `usable`: a Cloud PC works; `cloudPcId`: the one to
    watch, one's own first; `undecided`: a change is still to be looked at; `workers`: how many are alive; `speed`: of
    the simulation, None where a site is not simulated; `others`: somebody else can sign in.
    """
    of = {"tenant": tenant.id, "me": me, "usable": [str(s) for s in USABLE]}
    with world.database.single.connect() as connection:
        now = connection.execute(_STAND, of).one()
        policy = connection.execute(_ASSIGNED, of).one_or_none()
        group = None
        if policy is None:
            group = connection.execute(_GROUPS, {**of, "limit": 1}).one_or_none()
        watched = None
        if now.live:
            watched = connection.execute(_MINE, of).scalar() or connection.execute(_ANY, of).scalar()
        idle = connection.execute(_IDLE_POLICY, of).one_or_none() if policy is None and now.policies else None
        return {
            "sites": now.sites,
            "site": _named(connection.execute(_SITE, of).one_or_none(), "name"),
            "connections": now.connections,
            "images": now.images,
            "plan": _plan(connection.execute(_PLAN, of).one_or_none()),
            "group": {"id": str(policy.group_id), "displayName": policy.group_name} if policy else _named(group),
            "policies": now.policies,
            "policy": _named(policy),
            "idlePolicy": _named(idle),
            "usable": now.usable,
            "cloudPcId": watched,
            "undecided": now.undecided,
            "workers": jobs.workers_alive(connection, world.settings.stalled_seconds),
            "speed": None if now.real else shown_speed(now.speed),
            "others": now.others,
        }


def places(connection: Connection, tenant: TenantRef) -> list[str]:
    """The region groups in which the tenant has a site."""
    return list(connection.execute(_PLACES, {"tenant": tenant.id}).scalars())


def licensed_groups(connection: Connection, tenant: TenantRef) -> list[Item]:
    """Groups with people who hold a licence, with `memberCount`, the first made first; at most fifty."""
    rows = connection.execute(_GROUPS, {"tenant": tenant.id, "limit": _MOST_GROUPS})
    return [{"id": str(r.id), "displayName": r.display_name, "memberCount": r.members} for r in rows]


def to_invite(connection: Connection, tenant: TenantRef, me: UUID | None) -> list[Item]:
    """People whom a policy reaches and who have no password yet, with `linkExpiresDateTime` where a link is open."""
    rows = connection.execute(_UNINVITED, {"tenant": tenant.id, "me": me, "limit": TO_INVITE})
    return [
        {
            "id": str(r.id),
            "userPrincipalName": r.user_principal_name,
            "displayName": r.display_name,
            "linkExpiresDateTime": r.link_until,
        }
        for r in rows
    ]


def bring_people(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    names: Sequence[str],
    group: str,
    plan: str | None = None,
    domain: str = "",
) -> Item:
    """Put people into a group, and give it the plan's licence; whoever is missing is made, and so is the group.

    Names without a domain get `domain`, else the tenant's. Answers the group, and `created`: the people who are new.
    Nothing is made while a name is wrong; done twice it is as done once.
    """
    whole = (_user_name(name, domain or domain_of(tenant)) for name in names)
    wanted_people = list({name.lower(): name for name in whole}.values())
    if not wanted_people:
        raise Refused("users", None, "name at least one person")
    if len(wanted_people) > MOST_PEOPLE:
        rule = f"at most {MOST_PEOPLE} at once, these are {len(wanted_people)}"
        raise Refused("users", None, rule, remedy="The page Licences reads larger files")
    name = named.check_name("groupName", group)
    with database.single.connect() as connection:
        if plan is not None:
            named.one(connection, tenant, PLAN, plan)
        there = named.find(connection, tenant, GROUP, name)
        new = [n for n in wanted_people if named.find(connection, tenant, USER, n) is None]
    for person in new:
        users.create(database, tenant, actor, user_principal_name=person)
    if there is None:
        made = groups.create(database, tenant, actor, display_name=name, members=wanted_people)
    else:
        made = groups.add_members(database, tenant, actor, str(there.id), wanted_people)
    if plan is not None:
        licenses.assign(database, tenant, actor, plan, groups=[made["id"]])
    return {**made, "created": new}


def with_examples(
    database: Database, tenant: TenantRef, actor: str, *, region_group: str, me: str | None
) -> dict[str, str]:
    """Whatever is missing up to the first Cloud PC, with example values: what was made, by kind.

    `region_group`: where a site would be made, and where Cloud PCs run if a site is there. `me`: the first person's
    user name; without one it is an example's. A tenant whose sites are all simulated runs `QUICK`.
    """
    made: dict[str, str] = {}
    with database.single.connect() as connection:
        of = {"tenant": tenant.id}
        site = connection.execute(_SITE, of).one_or_none()
        there = places(connection, tenant)
        plan = connection.execute(_PLAN, of).one_or_none()
        empty_plan = named.find(connection, tenant, PLAN, USUAL_PLAN)
        group = connection.execute(_GROUPS, {**of, "limit": 1}).one_or_none()
        assigned = connection.execute(_ASSIGNED, of).one_or_none()
        idle = connection.execute(_IDLE_POLICY, of).one_or_none()
        now = connection.execute(_STAND, {**of, "me": None, "usable": []}).one()
    if site is None:
        made["site"] = make_site(database, tenant, actor, region_group=region_group)["name"]
        there = [region_group]
    if not now.real and not now.live and now.speed == 1:
        tenants.set_simulation(database, tenant, actor, speed=QUICK)
    plan_id = str(plan.id) if plan else None
    if plan_id is None:
        if empty_plan is not None:
            found = licenses.set_plan(database, tenant, actor, str(empty_plan.id), seats=USUAL_SEATS)
        else:
            found = licenses.create_plan(database, tenant, actor, display_name=USUAL_PLAN, seats=USUAL_SEATS)
        plan_id, made["servicePlan"] = found["id"], found["displayName"]
    if assigned is not None:
        return made
    group_id = str(group.id) if group else None
    if group_id is None:
        person = me or f"adele@{domain_of(tenant)}"
        brought = bring_people(database, tenant, actor, names=[person], group=GROUP_NAME, plan=plan_id)
        group_id, made["group"] = brought["id"], brought["displayName"]
    if idle is not None:
        found = assignments.assign(database, tenant, actor, str(idle.id), [group_id])
    else:
        place = region_group if region_group in there else there[0]
        found = policies.create(
            database,
            tenant,
            actor,
            display_name=POLICY_NAME,
            region_group=place,
            gallery_image=usual_image(),
            groups=[group_id],
        )
    made["provisioningPolicy"] = found["displayName"]
    return made


def make_site(database: Database, tenant: TenantRef, actor: str, *, region_group: str, name: str = "") -> Item:
    """A simulated site; without a name it is called after the region group's first region."""
    region = REGION_GROUPS[check_region_group(region_group)].regions[0]
    return sites.create(database, tenant, actor, name=name or region, region_group=region_group, region=region)


def make_quick(database: Database, tenant: TenantRef, actor: str) -> None:
    """Let the simulation run `QUICK`. Raises Refused where a site is not simulated."""
    with database.single.connect() as connection:
        if connection.execute(_STAND, {"tenant": tenant.id, "me": None, "usable": []}).one().real:
            raise Refused("simulation.speed", None, "not every site of this tenant is simulated")
    tenants.set_simulation(database, tenant, actor, speed=QUICK)


def images(connection: Connection, tenant: TenantRef) -> list[Item]:
    """What `policy_choices.images` offers and a policy can take at every site."""
    return [image for image in policy_choices.images(connection, tenant, None) if not image["why"]]


def usual_image() -> str:
    """The gallery's first recommended one."""
    return next(image.id for image in GALLERY.values() if image.recommended)


def size_words(plan: str) -> str:
    """A plan's size in words, "" where its name does not say it."""
    size = size_from_name(plan)
    return f"{size.vcpu} processors, {size.ram_gb} GB memory, {size.storage_gb} GB disk" if size else ""


def _plan(row: "Row[Any] | None") -> Item | None:
    found = _named(row)
    return None if row is None or found is None else {**found, "seats": row.seats, "seatsInUse": row.seats_used}


def _named(row: "Row[Any] | None", column: str = "display_name") -> Item | None:
    return None if row is None else {"id": str(row.id), "displayName": row._mapping[column]}


def domain_of(tenant: TenantRef) -> str:
    """The tenant's name as the part of a user name after the @."""
    return "-".join(tenant.name.lower().split()).replace("@", "-") or "localhost"


def _user_name(given: str, domain: str) -> str:
    """With the domain where it has none. What `users.create` would refuse is refused here, before anything is made."""
    name = given.strip()
    if name and "@" not in name:
        name = f"{name}@{domain}"
    local, _, place = name.partition("@")
    if not local or not place or "@" in place or not name.isprintable() or any(c.isspace() for c in name):
        raise Refused("users", given[:113], "must look like name@domain, without blanks")
    if len(name) > 113:
        raise Refused("users", f"{given[:40]}…", f"at most 113 characters, this has {len(name)}")
    return name
