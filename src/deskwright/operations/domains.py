"""Active Directory domains of a tenant: how one is reached, who reads it, and what its people may.

What comes of them is domain_sync's. A password is tried at the domain before it is kept, and can never be read again.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, text, update

from deskwright.active_directory.client import Account
from deskwright.active_directory.discovery import Domain
from deskwright.domain.rules import Refused
from deskwright.operations import domain_fields as fields
from deskwright.operations import domain_probe, named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.domain_sync import CONFIRM
from deskwright.operations.groups import GROUP
from deskwright.operations.named import Item, Noun
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from deskwright.store.tables import domain_syncs, domains


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "domainName": row.name,
        "controllers": list(row.controllers),
        "nameServers": list(row.name_servers),
        "caCertificate": row.ca_certificate,
        "startTls": row.start_tls,
        "userName": row.account_name,
        "searchBases": list(row.search_bases),
        "signIn": row.sign_in,
        "syncEnabled": row.sync_enabled,
        "syncIntervalInMinutes": row.sync_interval_minutes,
        "syncStatus": row.sync_status,
        "syncErrorCode": row.sync_error_code,
        "syncDetail": row.sync_detail,
        "syncRunning": row.syncing_since is not None,
        "syncProgress": row.sync_progress,
        "lastSyncDateTime": row.synced_at,
        "nextSyncDateTime": row.next_sync_at,
        "createdDateTime": row.created_at,
    }


DOMAIN = Noun("domain", "domain", domains, "domainName", "name", _present, "domain")

_COUNTS = text(
    """
    SELECT d.id, (SELECT count(*) FROM users u WHERE u.domain_id = d.id AND u.deleted_at IS NULL) AS people,
           (SELECT count(*) FROM groups g WHERE g.domain_id = d.id) AS groups,
           (SELECT count(*) FROM domain_objects o WHERE o.domain_id = d.id AND o.kind = 'computer') AS computers
      FROM domains d WHERE d.tenant_id = :tenant AND d.id = ANY(:ids)
    """
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    secrets: Secrets,
    domain_name: str,
    user_name: str,
    password: str,
    controllers: Sequence[str] = (),
    name_servers: Sequence[str] = (),
    ca_certificate: str = "",
    start_tls: bool = False,
    search_bases: Sequence[str] = (),
    sign_in: str = "none",
    sync_enabled: bool = True,
    sync_interval_minutes: int = 30,
    verify: bool = True,
    confirmed: bool = False,
) -> Item:
    """Add a domain, after a real sign-in with the account (unless `verify` is False); its first run is due at once."""
    values = fields.checked(
        {
            "name": domain_name,
            "account_name": user_name,
            "controllers": controllers,
            "name_servers": name_servers,
            "ca_certificate": ca_certificate,
            "start_tls": start_tls,
            "search_bases": search_bases,
            "sign_in": sign_in,
            "sync_enabled": sync_enabled,
            "sync_interval_minutes": sync_interval_minutes,
        }
    )
    if not password:
        raise Refused("password", None, "must not be empty")
    with database.single.connect() as connection:
        named.refuse_taken(connection, tenant, DOMAIN, values["name"])
    if verify:
        _verify(values, password)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, DOMAIN, values["name"])
        due = func.tenant_now(tenant.id) if sync_enabled else None
        row = named.create(opened, DOMAIN, **values, account_password=secrets.encrypt(password), next_sync_at=due)
        return _with_counts(opened.connection, tenant, [row])[0]


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    domain: str,
    *,
    secrets: Secrets,
    user_name: str | None = None,
    password: str | None = None,
    controllers: Sequence[str] | None = None,
    name_servers: Sequence[str] | None = None,
    ca_certificate: str | None = None,
    start_tls: bool | None = None,
    search_bases: Sequence[str] | None = None,
    sign_in: str | None = None,
    sync_enabled: bool | None = None,
    sync_interval_minutes: int | None = None,
    verify: bool = True,
    confirmed: bool = False,
) -> Item:
    """Change what is given; the password stays where none is. What changes the way there is tried first (`verify`)."""
    given = {
        "account_name": user_name,
        "controllers": controllers,
        "name_servers": name_servers,
        "ca_certificate": ca_certificate,
        "start_tls": start_tls,
        "search_bases": search_bases,
        "sign_in": sign_in,
        "sync_enabled": sync_enabled,
        "sync_interval_minutes": sync_interval_minutes,
    }
    if password == "":
        raise Refused("password", None, "must not be empty; leave it out to keep the one there is")
    with database.single.connect() as connection:
        row = named.one(connection, tenant, DOMAIN, domain)
    wanted = fields.checked({**_columns(row), **{k: v for k, v in given.items() if v is not None}})
    differs = {k for k, v in wanted.items() if v != _columns(row)[k]}
    if verify and (password is not None or differs & fields.REACH):
        _verify(wanted, password if password is not None else secrets.decrypt(row.account_password))
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, DOMAIN, row.id)
        after = named.modify(opened, DOMAIN, row, **{k: wanted[k] for k in differs if k in given})
        if password is not None:
            after = _new_password(opened, after, password, secrets)
        return _with_counts(opened.connection, tenant, [_due(opened, row, after, differs, password)])[0]


def delete(database: Database, tenant: TenantRef, actor: str, domain: str, *, confirmed: bool = False) -> Item:
    """Forget a domain. Its people and groups stay as they are, and are the tenant's own from now on."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, DOMAIN, domain)
        item = _with_counts(opened.connection, tenant, [row])[0]
        named.remove(opened, DOMAIN, row, people=item["people"], groups=item["groups"])
        return item


def list_(
    database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100, wanted: str = ""
) -> list[Item]:
    """With how many people, groups and computers each has here."""
    with database.single.connect() as connection:
        rows = named.page(connection, tenant, DOMAIN, after, limit, *named.matching(DOMAIN, wanted))
        return _with_counts(connection, tenant, rows)


def show(database: Database, tenant: TenantRef, domain: str) -> Item:
    """A domain with its last runs, newest first, what was found by the last that succeeded, and what waits for a yes.

    `wouldLose`: people, of, who (names, at most 50); None where nothing waits.
    """
    with database.single.connect() as connection:
        row = named.one(connection, tenant, DOMAIN, domain)
        query = select(domain_syncs).where(domain_syncs.c.domain_id == row.id).order_by(domain_syncs.c.at.desc())
        runs = connection.execute(query).all()
        item = _with_counts(connection, tenant, [row])[0]
    last = next((run for run in runs if run.status == "succeeded"), None)
    losing = row.sync_losing
    return {
        **item,
        "wouldLose": {k: losing[k] for k in ("people", "of", "who")} if losing else None,
        "findings": last.findings if last else [],
        "lastSyncs": [_run(run) for run in runs],
    }


def test(database: Database, tenant: TenantRef, domain: str, *, secrets: Secrets) -> Item:
    """Try everything a run needs, now: `checks` with what was seen, each passed, warning or failed."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, DOMAIN, domain)
    account = Account(row.account_name, secrets.decrypt(row.account_password))
    return {"domainName": row.name, **domain_probe.probe(fields.reached(_columns(row)), account, row.search_bases)}


def synchronise(
    database: Database, tenant: TenantRef, actor: str, domain: str, *, confirm: bool = False, complete: bool = False
) -> Item:
    """Have it synchronised now; a worker does it. `confirm`: the run that stopped (R13) is meant. `complete`: read
    everything."""
    with change(database, tenant, actor, confirmed=True) as opened:
        row = named.one(opened.connection, tenant, DOMAIN, domain)
        if confirm and row.sync_status != CONFIRM:
            rule = f"nothing of {row.name} waits for a confirmation"
            raise Refused("confirm", None, rule, code="notAllowed")
        values: dict[str, Any] = {"next_sync_at": func.tenant_now(tenant.id)}
        if confirm:
            values["sync_confirmed"] = True
            shown = {"people": row.sync_losing["people"], "of": row.sync_losing["of"]}
            opened.audit("Confirm synchronisation", DOMAIN.kind, [event(row.id, row.name, None, shown)])
        else:
            opened.audit("Request synchronisation", DOMAIN.kind, [event(row.id, row.name)])
        if complete:
            values["cursor"] = {}
        return _with_counts(opened.connection, tenant, [_update(opened, row.id, values)])[0]


def adopt(database: Database, tenant: TenantRef, actor: str, domain: str, group: str) -> Item:
    """Let the domain have a group of this tenant that is called like one of its own: the next run makes its members
    the domain's (by the brake's rules, R13)."""
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, DOMAIN, domain)
        wanted = named.one(opened.connection, tenant, GROUP, group)
        if wanted.domain_id is not None:
            raise Refused("group", wanted.display_name, "is a domain's already", code="notAllowed")
        if wanted.kind != "security":
            raise Refused("group", wanted.display_name, "only security groups come from a domain", code="notAllowed")
        query = text("UPDATE groups SET domain_id = :domain WHERE tenant_id = :tenant AND id = :group")
        opened.connection.execute(query, {"domain": row.id, "tenant": tenant.id, "group": wanted.id})
        written = event(wanted.id, wanted.display_name, {"domainName": None}, {"domainName": row.name})
        opened.audit("Adopt group", GROUP.kind, [written])
        _update(opened, row.id, {"cursor": {}, "next_sync_at": func.tenant_now(tenant.id)})
        return {"id": str(wanted.id), "displayName": wanted.display_name, "domainName": row.name}


def _columns(row: "Row[Any]") -> dict[str, Any]:
    """What one may set, as `fields.checked` gives it."""
    found = {name: row._mapping[name] for name in fields.COLUMNS}
    return {**found, "ca_certificate": found["ca_certificate"] or ""}


def _verify(values: Mapping[str, Any], password: str) -> None:
    wanted: Domain = fields.reached(values)
    domain_probe.verify(wanted, Account(values["account_name"], password), values["search_bases"])


def _new_password(opened: Change, row: "Row[Any]", password: str, secrets: Secrets) -> "Row[Any]":
    after = _update(opened, row.id, {"account_password": secrets.encrypt(password)})
    written = event(row.id, row.name, {"password": "(hidden)"}, {"password": "(changed)"})
    opened.audit("Update domain password", DOMAIN.kind, [written])
    return after


def _due(opened: Change, before: "Row[Any]", row: "Row[Any]", differs: set[str], password: str | None) -> "Row[Any]":
    """When the next run is: at once where it sees something else now or can see at last, never where it is off."""
    values: dict[str, Any] = {}
    if differs & fields.READ:
        values["cursor"] = {}
    if not row.sync_enabled:
        values["next_sync_at"] = None
    elif differs & (fields.REACH | {"sync_enabled", "sync_interval_minutes"}) or password is not None:
        values["next_sync_at"] = func.tenant_now(opened.tenant.id)
    return _update(opened, row.id, values) if values else row


def _update(opened: Change, domain: UUID, values: Mapping[str, Any]) -> "Row[Any]":
    c = domains.c
    query = update(domains).where(c.tenant_id == opened.tenant.id, c.id == domain).values(**values).returning(*c)
    return opened.connection.execute(query).one()


def _with_counts(connection: Connection, tenant: TenantRef, rows: "list[Row[Any]]") -> list[Item]:
    ids = [row.id for row in rows]
    counts = {c.id: c for c in connection.execute(_COUNTS, {"tenant": tenant.id, "ids": ids})}
    return [
        {
            **_present(row),
            "people": counts[row.id].people,
            "groups": counts[row.id].groups,
            "computers": counts[row.id].computers,
        }
        for row in rows
    ]


def _run(row: "Row[Any]") -> Item:
    return {
        "startDateTime": row.at,
        "status": row.status,
        "complete": row.complete,
        "seconds": row.seconds,
        "errorCode": row.error_code,
        "detail": row.detail,
        **{name: row.counts.get(name, 0) for name in RUN_COUNTS},
    }


RUN_COUNTS = (
    *("objectsRead", "people", "peopleAdded", "peopleChanged", "peopleRemoved", "peopleRestored"),
    *("groups", "groupsAdded", "groupsChanged", "groupsRemoved", "membersAdded", "membersRemoved"),
    *("computers", "computersAdded", "computersRemoved"),
)
