"""Examining an installation: what it can and cannot do, what is later than it should be, and the mend of each (R7)."""

import json
import platform
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright import jobs
from deskwright.domain.notices import Channel
from deskwright.domain.rules import Refused
from deskwright.operations import mail, notifications
from deskwright.operations.change import TenantRef
from deskwright.providers import registry
from deskwright.providers.contract import Mark, Network, ProviderError
from deskwright.providers.registry import Site, providers_for
from deskwright.provision.context import World
from deskwright.reconcile.deadlines import DEADLINES
from deskwright.reconcile.inventory import compare_tenant
from deskwright.store import migrations
from deskwright.store.secrets import key_file

# How late something may be before it is worth a word: workers sweep about once a second (real time).
_LATE_SECONDS = 30.0
_SKEW_WARN, _SKEW_FAIL = 2.0, 60.0
_OLDEST_POSTGRESQL = 14

_TENANTS = text("SELECT id, name, clock_offset FROM tenants ORDER BY name")
_OFFSET = text("SELECT clock_offset FROM tenants WHERE id = :tenant")
_SITES = text("SELECT id, name, compute, directory, management FROM sites WHERE tenant_id = :tenant ORDER BY name")
# Every deadline there is, from the table that the workers sweep by.
_OVERDUE = text(
    " UNION ALL ".join(
        f"SELECT '{d.what}' AS what, count(*) AS n, max(extract(epoch FROM late)) AS late FROM ("
        f"SELECT tenant_now(t.id) - x.{d.column} AS late FROM tenants t JOIN {d.table} x "
        f"ON x.{'id' if d.table == 'tenants' else 'tenant_id'} = t.id WHERE {d.condition} AND x.{d.column} IS NOT NULL "
        "AND (CAST(:tenant AS uuid) IS NULL OR t.id = :tenant)"
        ") waits WHERE late > make_interval(secs => :late)"
        for d in DEADLINES
    )
)
_REFUSED_RELEASES = text(
    "SELECT count(*) AS n, max(last_error) AS error FROM ledger "
    "WHERE release_attempts > 0 AND state IN ('intended', 'created')"
)
_CONNECTIONS = text(
    """
    SELECT t.name AS tenant, k.display_name, k.health_status FROM connections k JOIN tenants t ON t.id = k.tenant_id
     WHERE k.health_status = 'failed' ORDER BY 1, 2
    """
)
_TOUCHED = text("SELECT count(*) FROM touched_users")


@dataclass(frozen=True)
class Finding:
    check: str
    mark: Mark
    detail: str
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"check": self.check, "status": self.mark, "detail": self.detail, "mend": self.mend or None}


def examine_host() -> Iterator[Finding]:
    """What can be looked at without a database."""
    version = platform.python_version()
    old = tuple(int(part) for part in version.split(".")[:2]) < (3, 11)
    mend = "Use Python 3.11 or newer" if old else ""
    yield Finding("Python", "fail" if old else "ok", f"{version} on {platform.system()} {platform.machine()}", mend)


def examine(world: World) -> Iterator[Finding]:
    """Every check, in the order in which their mends should be tried; one that fails unexpectedly says so."""
    for check in (
        _database,
        _schema,
        _secret_key,
        _workers,
        _clock,
        _queue,
        _deadlines,
        _releases,
        _connections,
        _mail_server,
        _notifications,
        _hosts,
        _tenants,
    ):
        try:
            yield from check(world)
        except Exception as failure:  # noqa: BLE001 - the doctor goes on to the next check
            said = str(failure).splitlines()[0]
            if check is _database:
                mend = (
                    "Look at DESKWRIGHT_DATABASE_URL, and whether that server runs"
                    if world.settings.database_url
                    else ""
                )
                yield Finding("Database", "fail", f"cannot be reached: {said}", mend)
                return
            yield Finding(check.__name__.strip("_").capitalize(), "fail", f"could not be looked at: {said}")


def examine_tenant(world: World, tenant: TenantRef) -> Iterator[Finding]:
    """What concerns one tenant: for its administrators, who see nothing of the others and of the machine."""
    with world.database.single.connect() as connection:
        late = [row for row in connection.execute(_OVERDUE, {"late": _LATE_SECONDS, "tenant": tenant.id}) if row.n]
        offset = connection.execute(_OFFSET, {"tenant": tenant.id}).scalar_one()
        failed = [row for row in connection.execute(_CONNECTIONS).all() if row.tenant == tenant.name]
    yield from _workers(world)
    yield from _overdue(late, "Whoever runs this installation finds more in deskwright doctor")
    yield from _unhealthy(failed)
    yield from _untold(world, tenant.id)
    yield from _sites(world, tenant, f", its clock is {offset:.0f} s ahead" if offset else "")
    yield from _inventory(world, tenant)


def _database(world: World) -> Iterator[Finding]:
    kind = (
        "yours, by DESKWRIGHT_DATABASE_URL" if world.settings.database_url else f"embedded in {world.settings.data_dir}"
    )
    with world.database.single.connect() as connection:
        version = str(connection.execute(text("SHOW server_version")).scalar_one()).split()[0]
        used, allowed = connection.execute(
            text("SELECT (SELECT count(*) FROM pg_stat_activity), current_setting('max_connections')::int")
        ).one()
    if int(version.split(".")[0]) < _OLDEST_POSTGRESQL:
        yield Finding("Database", "fail", f"PostgreSQL {version}", f"Use PostgreSQL {_OLDEST_POSTGRESQL} or newer")
        return
    crowded = used > 0.9 * allowed
    yield Finding(
        "Database",
        "warn" if crowded else "ok",
        f"PostgreSQL {version}, {kind}, {used} of {allowed} connections in use",
        "Raise max_connections, or run fewer workers" if crowded else "",
    )


def _schema(world: World) -> Iterator[Finding]:
    found, needed = migrations.current(world.database), migrations.newest()
    if found == needed:
        yield Finding("Schema", "ok", f"revision {found}")
    else:
        yield Finding("Schema", "fail", f"revision {found}, this program needs {needed}", "deskwright db upgrade")


def _secret_key(world: World) -> Iterator[Finding]:
    path = key_file(world.settings)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("Secret key", "fail", f"{path} can be read by others (mode {mode:04o})", f"chmod 600 {path}")
    else:
        yield Finding(
            "Secret key", "ok", f"{path}, mode {mode:04o}; keep a copy of it apart from the database's backups"
        )


def _workers(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        alive = jobs.workers_alive(connection, world.settings.stalled_seconds)
    if alive:
        yield Finding("Workers", "ok", f"{alive} alive")
    else:
        yield Finding("Workers", "warn", "none is running, so nothing is provisioned", "deskwright serve")


def _clock(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        before = time.time()
        at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        skew = at.astimezone(UTC).timestamp() - (before + time.time()) / 2
    mark: Mark = "fail" if abs(skew) > _SKEW_FAIL else "warn" if abs(skew) > _SKEW_WARN else "ok"
    mend = "Let both machines follow the same time server" if mark != "ok" else ""
    yield Finding(
        "Clock",
        mark,
        f"the database's is {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} this machine's",
        mend,
    )


def _queue(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        waiting = jobs.waiting(connection)
        oldest = jobs.oldest_seconds(connection)
        touched = connection.execute(_TOUCHED).scalar_one()
    detail = f"{waiting} jobs waiting or under way, {touched} changed users to look at"
    if oldest is not None and oldest > _LATE_SECONDS:
        detail += f"; the oldest waits for {oldest:.0f} s"
        yield Finding("Queue", "warn", detail, "Start more workers: deskwright worker")
    else:
        yield Finding("Queue", "ok", detail)


def _deadlines(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        late = [row for row in connection.execute(_OVERDUE, {"late": _LATE_SECONDS, "tenant": None}) if row.n]
        alive = jobs.workers_alive(connection, world.settings.stalled_seconds)
    mend = "A worker is alive: see its log" if alive else "deskwright serve"
    yield from _overdue(late, mend, "fail" if alive else "warn")


def _overdue(late: Sequence[Row[Any]], mend: str, mark: Mark = "warn") -> Iterator[Finding]:
    if not late:
        yield Finding("Deadlines", "ok", "nothing is later than it should be")
    for row in late:
        yield Finding("Deadlines", mark, f"{row.n} late by up to {float(row.late):.0f} s: {row.what}", mend)


def _releases(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        row = connection.execute(_REFUSED_RELEASES).one()
    if row.n:
        yield Finding(
            "Clean-up", "warn", f"{row.n} releases were refused, such as: {row.error}", "deskwright ledger --left"
        )
    else:
        yield Finding("Clean-up", "ok", "no release was refused")


def _connections(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        failed = connection.execute(_CONNECTIONS).all()
    yield from _unhealthy(failed)


def _unhealthy(failed: Sequence[Row[Any]]) -> Iterator[Finding]:
    for row in failed:
        mend = f"deskwright connection show '{row.display_name}' --tenant {row.tenant}"
        yield Finding(
            f"Connection {row.display_name}", "warn", f"{row.tenant}: unhealthy, nothing is provisioned by it", mend
        )
    if not failed:
        yield Finding("Connections", "ok", "none is unhealthy")


def _mail_server(world: World) -> Iterator[Finding]:
    """Whether one is set, and can be understood; that mails get through, the next check tells."""
    try:
        server = mail.server(world.settings)
    except Refused as refused:
        yield Finding("Mail server", "fail", str(refused), "docs/notifications.md shows how it is written")
        return
    if server is None:
        yield Finding("Mail server", "ok", "none is set: people are told by webhook or not at all")
    else:
        yield Finding("Mail server", "ok", f"{server.host}:{server.port}, mails come from {server.sender.addr_spec}")


def _notifications(world: World) -> Iterator[Finding]:
    yield from _untold(world, None)


def _untold(world: World, tenant: UUID | None) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        trouble = notifications.trouble(connection, tenant)
    for found in trouble:
        of = found["tenant"]
        if found["channel"] == Channel.MAIL:
            mend = "Look at DESKWRIGHT_SMTP_URL and the mail server's log"
        elif found["dead"]:
            mend = f"deskwright webhook list --tenant {of} shows them, deskwright webhook retry sends them again"
        else:
            mend = f"Look at the receiver, or deskwright tenant set --setting webhookUrl=... --tenant {of}"
        dead = f", {found['dead']} of them were given up" if found["dead"] else ""
        dead += f", {found['waiting']} wait" if found["waiting"] else ""
        detail = f"{of}: {found['failing']} by {found['channel']} did not get through{dead}: {found['error']}"
        yield Finding("Notifications", "warn", detail, mend)
    if not trouble:
        yield Finding("Notifications", "ok", "the last ones got through, or there were none")


def _hosts(world: World) -> Iterator[Finding]:
    """Each host once, whosever sites are there: what is said of it is of no one tenant."""
    with world.database.single.connect() as connection:
        hosts: dict[str, list[tuple[str, Site]]] = {}
        for tenant in connection.execute(_TENANTS).all():
            for row in connection.execute(_SITES, {"tenant": tenant.id}).all():
                named = (f"{row.name} of {tenant.name}", Site(tenant.id, *row))
                hosts.setdefault(json.dumps(row.compute, sort_keys=True), []).append(named)
    for sites in hosts.values():
        name = ", ".join(shown for shown, _ in sites[:3]) + (f" and {len(sites) - 3} more" if len(sites) > 3 else "")
        try:
            for seen in registry.examine_host(world.database, sites[0][1]):
                yield Finding(f"Host of {name}: {seen.about}", seen.mark, seen.detail, seen.mend)
        except Refused as refused:
            yield Finding(f"Host of {name}", "fail", f"{refused.field}: {refused.rule}", refused.remedy)
        except Exception as failure:  # noqa: BLE001 - another host may be better
            yield Finding(f"Host of {name}", "fail", f"could not be looked at: {_said(failure)}")


def _tenants(world: World) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        tenants = connection.execute(_TENANTS).all()
    if not tenants:
        yield Finding("Tenants", "warn", "there is none yet", "deskwright apply -f TENANT.yaml")
    for tenant in tenants:
        ahead = f", its clock is {tenant.clock_offset:.0f} s ahead" if tenant.clock_offset else ""
        yield from _sites(world, TenantRef(tenant.id, tenant.name), ahead)
        yield from _inventory(world, TenantRef(tenant.id, tenant.name))


def _sites(world: World, tenant: TenantRef, ahead: str) -> Iterator[Finding]:
    with world.database.single.connect() as connection:
        rows = connection.execute(_SITES, {"tenant": tenant.id}).all()
    if not rows:
        yield Finding(
            f"Tenant {tenant.name}", "warn", "has no site: nothing can be provisioned", "deskwright site create"
        )
        return
    bad = 0
    for row in rows:
        try:
            providers = providers_for(world.database, Site(tenant.id, *row))
            addresses = providers.compute.free_addresses(Network())
        except Exception as failure:  # noqa: BLE001 - a provider may fail in any way
            bad += 1
            yield Finding(
                f"Site {row.name}", "fail", f"{tenant.name}: {_said(failure)}", f"deskwright site show {row.name}"
            )
            continue
        if addresses < 1:
            bad += 1
            yield Finding(f"Site {row.name}", "warn", f"{tenant.name}: its hosted network has no free address")
    kinds = sorted({row.compute.get("kind", "simulator") for row in rows})
    if not bad:
        yield Finding(f"Tenant {tenant.name}", "ok", f"{len(rows)} sites ({', '.join(kinds)}) answer{ahead}")


def _said(failure: Exception) -> str:
    return str(failure.values.get("reason", failure.code)) if isinstance(failure, ProviderError) else str(failure)


def _inventory(world: World, tenant: TenantRef) -> Iterator[Finding]:
    differences = compare_tenant(world, tenant.id)
    for found in differences:
        if found.unreachable:
            detail = f"{tenant.name}: could not be compared: {found.unreachable}"
            yield Finding(f"Inventory of {found.site}", "fail", detail, "Look again when the site answers")
            continue
        told = [
            f"{len(things)} {words}"
            for things, words in (
                (found.missing, "that the ledger counts on are missing"),
                (found.reopened, "of ours had been forgotten and are cleaned up now"),
                (found.strangers, "were not made by Deskwright"),
            )
            if things
        ]
        mark: Mark = "fail" if found.missing else "warn"
        yield Finding(f"Inventory of {found.site}", mark, f"{tenant.name}: {'; '.join(told)}", "deskwright inventory")
    if not differences:
        yield Finding(f"Inventory of {tenant.name}", "ok", "ledger and providers agree")


__all__ = ["Finding", "examine", "examine_host", "examine_tenant"]
