"""Network connections: the customer's networks that Cloud PCs are put into. reconcile.health checks them.

A join account's password is tried when it is entered, where the site's directory is a real one, before anything is
changed. A domain that cannot be asked then takes it: whoever sets up a connection need not wait for it, and the checks
that follow tell.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, text, update

from deskwright.checks.table import CHECKS
from deskwright.domain.rules import Refused
from deskwright.operations import named, sites
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.connection_rules import HYBRID, check_properties
from deskwright.operations.named import Item, Noun
from deskwright.providers.contract import JoinAccount, Network, ProviderError
from deskwright.providers.registry import providers_for, refuse_join_account
from deskwright.provision.sites import load_site
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from deskwright.store.tables import connection_checks, connections

log = logging.getLogger(__name__)


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "connectionType": row.connection_type,
        "siteId": str(row.site_id),
        "virtualNetworkId": row.network,
        "subnetId": row.subnet,
        "subscriptionId": row.subscription,
        "resourceGroupId": row.resource_group,
        "adDomainName": row.ad_domain_name,
        "organizationalUnit": row.organizational_unit,
        "adDomainUsername": row.ad_domain_username,
        "healthCheckStatus": row.health_status,
        "healthCheckRunning": row.checking,
        "healthCheckStartedDateTime": row.checking_since,
        **({"keptProperties": row.kept_properties} if row.kept_properties else {}),
        "lastCheckedDateTime": row.checked_at,
        "createdDateTime": row.created_at,
    }


CONNECTION = Noun(
    "onPremisesConnection", "network connection", connections, "displayName", "display_name", _present, "connection"
)

# E9. A run goes by the snapshot it was started with, whatever its policy says now.
_USES = text(
    """
    SELECT k.id, s.name AS site, s.region,
           ARRAY(SELECT p.display_name FROM policy_connections pc JOIN policies p ON p.id = pc.policy_id
                  WHERE pc.connection_id = k.id ORDER BY lower(p.display_name)) AS policies,
           EXISTS (SELECT 1 FROM cloud_pcs c WHERE c.connection_id = k.id AND c.status <> 'gone')
             OR EXISTS (SELECT 1 FROM runs r WHERE r.tenant_id = :tenant AND r.state = 'active'
                         AND r.policy -> 'connections' @> to_jsonb(k.id::text)) AS "cloudPcs",
           -- By its account they are disabled when their Cloud PCs have been cleaned up.
           (SELECT count(*) FROM activedirectory.computer_accounts a
             WHERE a.tenant_id = :tenant AND a.connection_id = k.id AND a.released_at IS NULL) AS accounts
      FROM connections k JOIN sites s ON s.id = k.site_id WHERE k.tenant_id = :tenant AND k.id = ANY(:ids)
    """
)

_FORGET = text(
    """
    WITH trial AS (DELETE FROM activedirectory.trial_accounts WHERE tenant_id = :tenant AND connection_id = :id)
    UPDATE cloud_pcs SET connection_id = NULL
     WHERE tenant_id = :tenant AND connection_id = :id AND status = 'gone'
    """
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    secrets: Secrets,
    display_name: str,
    connection_type: str,
    region: str | None = None,
    network: str,
    subnet: str,
    subscription: str = "",
    resource_group: str = "",
    ad_domain_name: str = "",
    organizational_unit: str = "",
    ad_domain_username: str = "",
    ad_domain_password: str = "",
    kept: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Item:
    """Add a connection; its first check is due at once, until it has ended its health is pending.

    Without a region it is at the site that `sites.of_network` finds. `kept` properties are told again and mean nothing.
    """
    name = named.check_name("displayName", display_name)
    values = {
        "display_name": name,
        "connection_type": connection_type,
        "network": named.check_name("network", network),
        "subnet": named.check_name("subnet", subnet),
        "subscription": subscription.strip() or None,
        "resource_group": resource_group.strip() or None,
        "ad_domain_name": ad_domain_name.strip() or None,
        "organizational_unit": organizational_unit.strip() or None,
        "ad_domain_username": ad_domain_username.strip() or None,
    }
    check_properties(values, has_password=bool(ad_domain_password))
    if ad_domain_password:
        with database.single.connect() as reading:
            place = _site(reading, tenant, region, values["network"] or "").id
        refuse_join_account(database, load_site(database, place), _joiner(values, ad_domain_password))
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, CONNECTION, name)
        site = _site(opened.connection, tenant, region, values["network"] or "")
        row = named.create(
            opened,
            CONNECTION,
            **values,
            kept_properties=dict(kept or {}),
            site_id=site.id,
            ad_domain_password=secrets.encrypt(ad_domain_password) if ad_domain_password else None,
            next_check_at=func.tenant_now(tenant.id),
        )
        return _with_use(opened.connection, tenant, [row])[0]


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    connection: str,
    *,
    display_name: str | None = None,
    region: str | None = None,
    network: str | None = None,
    subnet: str | None = None,
    subscription: str | None = None,
    resource_group: str | None = None,
    ad_domain_name: str | None = None,
    organizational_unit: str | None = None,
    ad_domain_username: str | None = None,
    ad_domain_password: str | None = None,
    secrets: Secrets | None = None,
    kept: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Item:
    """Change what is given. It is checked anew; until then the last settled health stays (V3).

    A password needs `secrets`; `kept` properties are put beside those it had, None takes one away.
    """
    entered = {"ad_domain_name": ad_domain_name, "ad_domain_username": ad_domain_username}
    if ad_domain_password is not None or any(value is not None for value in entered.values()):
        _try_account(database, tenant, connection, entered, ad_domain_password)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, CONNECTION, connection)
        texts = {
            "display_name": None if display_name is None else named.check_name("displayName", display_name),
            "network": None if network is None else named.check_name("network", network),
            "subnet": None if subnet is None else named.check_name("subnet", subnet),
            "subscription": subscription,
            "resource_group": resource_group,
            "ad_domain_name": ad_domain_name,
            "organizational_unit": organizational_unit,
            "ad_domain_username": ad_domain_username,
        }
        given = {k: v.strip() for k, v in texts.items() if v is not None}
        check_properties({**row._mapping, **given}, has_password=row.ad_domain_password is not None)
        if "display_name" in given:
            named.refuse_taken(opened.connection, tenant, CONNECTION, given["display_name"], besides=row.id)
        site = None if region is None else sites.in_region(opened.connection, tenant, region).id
        if site is not None and site != row.site_id:
            _refuse_in_use(opened, row, "region", region, "can move to another site only while nothing uses it")
        if given.get("ad_domain_name", row.ad_domain_name or "").lower() != (row.ad_domain_name or "").lower():
            _refuse_accounts(opened, row, given["ad_domain_name"])
        after = named.modify(opened, CONNECTION, row, site_id=site, **given)
        if ad_domain_password is not None and secrets is not None:
            after = _new_password(opened, after, ad_domain_password, secrets)
        if after is not row:
            after = _check_soon(opened, after)
        if kept is not None:
            merged = {name: value for name, value in {**row.kept_properties, **kept}.items() if value is not None}
            after = named.modify(opened, CONNECTION, after, kept_properties=merged)
        return _with_use(opened.connection, tenant, [after])[0]


def set_password(
    database: Database,
    tenant: TenantRef,
    actor: str,
    connection: str,
    password: str,
    *,
    secrets: Secrets,
    confirmed: bool = False,
) -> Item:
    """Replace the join account's password; it can never be read again, and the connection is checked anew."""
    _try_account(database, tenant, connection, {}, password)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, CONNECTION, connection)
        row = _new_password(opened, row, password, secrets)
        return _with_use(opened.connection, tenant, [_check_soon(opened, row)])[0]


def request_check(
    database: Database, tenant: TenantRef, actor: str, connection: str, *, confirmed: bool = False
) -> Item:
    """Have the health checks run now instead of at their next time."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = _check_soon(opened, named.one(opened.connection, tenant, CONNECTION, connection))
        # Not a change of the tenant, but somebody's act: it may start people's provisioning.
        opened.audit("Request health check", CONNECTION.kind, [event(row.id, row.display_name)])
        return _with_use(opened.connection, tenant, [row])[0]


def delete(database: Database, tenant: TenantRef, actor: str, connection: str, *, confirmed: bool = False) -> Item:
    """E9: only while no policy and no Cloud PC uses it."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, CONNECTION, connection)
        _refuse_in_use(
            opened, row, "onPremisesConnection", row.display_name, "can be deleted only while nothing uses it"
        )
        # Of a Cloud PC that is gone only the timeline is left, and that keeps its own words.
        opened.connection.execute(_FORGET, {"tenant": tenant.id, "id": row.id})
        named.remove(opened, CONNECTION, row)
        return _present(row)


def list_(
    database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100, wanted: str = ""
) -> list[Item]:
    """Those whose name contains `wanted`, in the order of their names."""
    with database.single.connect() as connection:
        rows = named.page(connection, tenant, CONNECTION, after, limit, *named.matching(CONNECTION, wanted))
        return _with_use(connection, tenant, rows)


def show(database: Database, tenant: TenantRef, name: str) -> Item:
    """A connection with the result of every check."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, CONNECTION, name)
        query = select(connection_checks).where(connection_checks.c.connection_id == row.id)
        order = list(CHECKS)
        results = sorted(
            connection.execute(query), key=lambda r: order.index(r.check_id) if r.check_id in order else len(order)
        )
        return {**_with_use(connection, tenant, [row])[0], "healthChecks": [_check_result(r) for r in results]}


def free_addresses(database: Database, tenant: TenantRef, name: str) -> int | None:
    """How many addresses of the subnet nobody has, as its provider counts them now; None where it cannot say."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, CONNECTION, name)
    compute = providers_for(database, load_site(database, row.site_id)).compute
    try:
        return compute.free_addresses(Network(row.id, row.network, row.subnet))
    except ProviderError as silent:  # said by the connection's own health
        log.warning("connection %s: %s", row.display_name, silent)
        return None


@dataclass(frozen=True)
class Use:
    anyhow: bool
    by_cloud_pc: bool


def uses(connection: Connection, tenant: TenantRef, ids: Sequence[UUID]) -> dict[UUID, Use]:
    """Whether policies or Cloud PCs use these connections; one query, however many."""
    rows = connection.execute(_USES, {"tenant": tenant.id, "ids": list(ids)})
    return {row.id: Use(bool(row.policies) or row.cloudPcs or row.accounts > 0, row.cloudPcs) for row in rows}


def _check_result(row: "Row[Any]") -> Item:
    check = CHECKS.get(row.check_id)
    ended_well = row.status in ("passed", "informational")
    return {
        "id": row.check_id,
        "displayName": check.title if check else row.check_id,
        "status": row.status,
        "errorType": row.error_code,
        "additionalDetail": row.detail,
        "recommendedAction": check.remedy if check and not ended_well else None,
        "startDateTime": row.started_at,
        "endDateTime": row.ended_at,
        "durationInSeconds": None if row.seconds is None else round(row.seconds, 3),
    }


def _with_use(connection: Connection, tenant: TenantRef, rows: "list[Row[Any]]") -> list[Item]:
    ids: list[UUID] = [row.id for row in rows]
    uses = {u.id: u for u in connection.execute(_USES, {"tenant": tenant.id, "ids": ids})}
    return [
        {
            **_present(row),
            "region": uses[row.id].site,
            "virtualNetworkLocation": uses[row.id].region,
            "inUse": bool(uses[row.id].policies) or uses[row.id].cloudPcs or uses[row.id].accounts > 0,
            "inUseByCloudPc": uses[row.id].cloudPcs,
            "computerAccounts": uses[row.id].accounts,
            "provisioningPolicies": uses[row.id].policies,
            "nextCheckDateTime": row.next_check_at,
        }
        for row in rows
    ]


def _site(connection: Connection, tenant: TenantRef, region: str | None, network: str) -> "Row[Any]":
    return sites.in_region(connection, tenant, region) if region else sites.of_network(connection, tenant, network)


def _joiner(values: Mapping[str, Any], password: str) -> JoinAccount:
    return JoinAccount(values["ad_domain_name"] or "", values["ad_domain_username"] or "", password)


def _try_account(
    database: Database, tenant: TenantRef, name: str, entered: Mapping[str, str | None], password: str | None
) -> None:
    """Refused where the domain does not take the account as it would be from now on. Nothing is locked meanwhile: it
    may take seconds."""
    with database.single.connect() as reading:
        row = named.one(reading, tenant, CONNECTION, name)
    now = {column: value.strip() for column, value in entered.items() if value is not None}
    values = {**row._mapping, **now}
    if row.connection_type != HYBRID or password == "" or (password is None and values == dict(row._mapping)):
        return
    if password is None and row.ad_domain_password is not None and database.secrets is not None:
        password = database.secrets.decrypt(bytes(row.ad_domain_password))
    if password:
        refuse_join_account(database, load_site(database, row.site_id), _joiner(values, password))


def _new_password(opened: Change, row: "Row[Any]", password: str, secrets: Secrets) -> "Row[Any]":
    if not password:
        raise Refused("adDomainPassword", None, "must not be empty")
    if row.connection_type != HYBRID:
        rule = f"only a connection of type {HYBRID} has a join account"
        raise Refused("adDomainPassword", None, rule, where=f"connection {row.display_name}")
    c = connections.c
    changed = update(connections).where(c.tenant_id == opened.tenant.id, c.id == row.id)
    encrypted = changed.values(ad_domain_password=secrets.encrypt(password)).returning(*c)
    after = opened.connection.execute(encrypted).one()
    written = event(row.id, row.display_name, {"adDomainPassword": "(hidden)"}, {"adDomainPassword": "(changed)"})
    opened.audit("Update network connection password", CONNECTION.kind, [written])
    return after


def _refuse_in_use(opened: Change, row: "Row[Any]", field: str, value: Any, rule: str) -> None:
    uses = opened.connection.execute(_USES, {"tenant": opened.tenant.id, "ids": [row.id]}).one()
    if uses.policies or uses.cloudPcs or uses.accounts:
        users = [*(f"policy {p}" for p in uses.policies), *(["Cloud PCs"] if uses.cloudPcs else [])]
        if uses.accounts and not uses.cloudPcs:
            users += [f"{uses.accounts} computer accounts of Cloud PCs that are cleaned up by its join account"]
        raise Refused(field, value, f"{rule}: {', '.join(users)}", code="notAllowed")


def _refuse_accounts(opened: Change, row: "Row[Any]", domain: str) -> None:
    """Only an account of the domain that computers joined can disable them there."""
    uses = opened.connection.execute(_USES, {"tenant": opened.tenant.id, "ids": [row.id]}).one()
    if uses.accounts:
        left = f"{uses.accounts} computer accounts in {row.ad_domain_name} are disabled by its join account"
        rule = f"can name another domain only when its Cloud PCs are cleaned up: {left}"
        raise Refused("adDomainName", domain, rule, code="notAllowed")


def _check_soon(opened: Change, row: "Row[Any]") -> "Row[Any]":
    c = connections.c
    query = update(connections).where(c.tenant_id == opened.tenant.id, c.id == row.id)
    # Should a look be under way, it is of what the connection was: the next one begins with the first check.
    soon = query.values(next_check_at=func.tenant_now(opened.tenant.id), checking=False, checking_since=None).returning(
        *c
    )
    return opened.connection.execute(soon).one()
