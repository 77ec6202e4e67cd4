"""Checking a network connection: every check of the table, its result, one overall status, and who may start by it.

A look at all checks may be cut short and taken up again: each check's row says when it began, and those that began
before ``connections.checking_since`` are still to come.
"""

import ipaddress
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Connection, TextClause, text

from deskwright.checks.settling import USABLE, Standing, stand
from deskwright.checks.table import CHECKS, HealthCheck, checks_for, overall
from deskwright.providers.contract import Endpoint, HealthProbe, NotYet, ProviderError
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.reconcile import seats
from deskwright.settings import Settings, TenantSettings
from deskwright.store import audit

log = logging.getLogger(__name__)

UNSETTLED_AGAIN = timedelta(minutes=1)
"""When a result that does not count yet is looked at again (tenant's time)."""
UNTRIED = "not tried"
"""So begins what is told of a check that another one made pointless."""
_KEPT = 20
"""Results of a connection that are remembered."""
_LOAD = text(
    """
    SELECT k.*, t.settings, tenant_now(t.id) AS now,
           (SELECT count(*) FROM policy_connections pc JOIN policy_assignments a ON a.policy_id = pc.policy_id
              JOIN memberships m ON m.group_id = a.group_id WHERE pc.connection_id = k.id) AS people,
           EXISTS (SELECT 1 FROM policy_connections pc JOIN policies p ON p.id = pc.policy_id
                    WHERE pc.connection_id = k.id AND p.single_sign_on) AS single_sign_on
      FROM connections k JOIN tenants t ON t.id = k.tenant_id WHERE k.id = :id
    """
)
_BEGIN = text(
    """
    UPDATE connections SET checking = true, checking_since = tenant_now(tenant_id)
     WHERE id = :id AND next_check_at = :loaded RETURNING checking_since
    """
)
_KNOWN = text(
    "SELECT check_id, status FROM connection_checks WHERE connection_id = :id AND started_at >= :since"
    " AND status NOT IN ('running', 'pending')"
)
# One that was under way already goes on: it keeps its start, and the time it took until now.
_GOES_ON = "connection_checks.status = 'running' AND connection_checks.started_at >= :since"
_RUNNING = text(
    f"""
    INSERT INTO connection_checks (connection_id, check_id, tenant_id, status, detail, started_at, seconds)
    VALUES (:connection, :check, :tenant, 'running', '', tenant_now(:tenant), 0)
    ON CONFLICT (connection_id, check_id) DO UPDATE SET status = 'running', error_code = NULL, ended_at = NULL,
           detail = CASE WHEN {_GOES_ON} THEN connection_checks.detail ELSE '' END,
           started_at = CASE WHEN {_GOES_ON} THEN connection_checks.started_at ELSE excluded.started_at END,
           seconds = CASE WHEN {_GOES_ON} THEN connection_checks.seconds ELSE 0 END
    """
)
_ENDED = text(
    """
    UPDATE connection_checks SET status = CAST(:status AS text), error_code = :code, detail = :detail,
           seconds = seconds + :took,
           ended_at = CASE WHEN CAST(:status AS text) = 'running' THEN NULL ELSE tenant_now(:tenant) END
     WHERE connection_id = :connection AND check_id = :check
    """
)
_NEXT = text(
    """
    UPDATE connections SET checking = :checking, next_check_at = :at,
           checking_since = CASE WHEN :checking THEN checking_since END
     WHERE id = :id AND next_check_at = :loaded
    """
)
_SETTLE = text(
    """
    UPDATE connections SET health_status = :status, failures_in_a_row = :failures, passes_in_a_row = :passes,
           checked_at = tenant_now(tenant_id)
     WHERE id = :id
    """
)
_NO_LONGER = text("DELETE FROM connection_checks WHERE connection_id = :id AND check_id <> ALL(:checks)")
_REMEMBER = text(
    """
    WITH old AS (
      DELETE FROM connection_results WHERE connection_id = :id AND at < (
        SELECT min(at) FROM (SELECT at FROM connection_results WHERE connection_id = :id ORDER BY at DESC LIMIT :most)
               newest))
    INSERT INTO connection_results (connection_id, at, tenant_id, status, seconds, findings, checks)
    SELECT :id, tenant_now(:tenant), :tenant, :status, COALESCE(sum(seconds), 0), COALESCE(
             jsonb_agg(jsonb_build_object('check', check_id, 'status', status, 'code', error_code) ORDER BY check_id)
               FILTER (WHERE status IN ('warning', 'failed')), '[]'),
           COALESCE(jsonb_object_agg(check_id, jsonb_build_object(
             'status', CASE WHEN starts_with(detail, :untried) THEN 'notTried' ELSE status END,
             'code', error_code, 'seconds', round(seconds::numeric, 3))), '{}')
      FROM connection_checks WHERE connection_id = :id
    ON CONFLICT DO NOTHING
    """
)


_KEEPING = {"most": _KEPT - 1, "untried": UNTRIED}


@dataclass(frozen=True)
class _Found:
    status: str
    code: str | None
    detail: str
    until: datetime | None = None
    """When to ask again; None: it has ended."""


def check_connection(world: World, connection_id: UUID) -> None:
    """Run every check once. One that is under way is asked again when it says; until all have ended, the last settled
    status stays (V3)."""
    with world.database.engine.connect() as connection:
        row = connection.execute(_LOAD, {"id": connection_id}).one_or_none()
    if row is None or row.next_check_at is None or row.next_check_at > row.now:
        return
    since = _begun(world, row)
    if since is None:
        return
    results, again = _look(world, row, since)
    settings = TenantSettings(**row.settings)
    standing = None if again else _standing(row, results, settings)
    if again:
        at = max(min(again), row.now + timedelta(milliseconds=200))
    elif standing and not standing.settled:
        at = row.now + UNSETTLED_AGAIN
    else:
        at = row.now + timedelta(hours=settings.connectionRefreshInHours)
    values = {"at": at, "checking": bool(again), "id": connection_id, "loaded": row.next_check_at}
    with world.database.begin() as connection:
        if not connection.execute(_NEXT, values).rowcount:
            return  # edited, or asked for, meanwhile: what was looked at is not what it is now, and it comes again
        if standing:
            _settle(connection, row, standing, overall(results))


def _begun(world: World, row: Any) -> datetime | None:
    """Since when this look goes on; None where the connection was edited this moment, and comes again."""
    if row.checking and row.checking_since is not None:
        since: datetime | None = row.checking_since
        return since
    with world.database.single.connect() as connection:
        begun = connection.execute(_BEGIN, {"id": row.id, "loaded": row.next_check_at})
        return cast("datetime | None", begun.scalar_one_or_none())


def _look(world: World, row: Any, since: datetime) -> tuple[dict[str, str], list[datetime]]:
    """Look at each check that has not ended yet. Returns the statuses, and when to ask those again that go on."""
    with world.database.single.connect() as connection:
        results = {r.check_id: r.status for r in connection.execute(_KNOWN, {"id": row.id, "since": since})}
    probe = providers_for(world.database, load_site(world.database, row.site_id)).health
    facts = {**row._mapping, "demand": row.people * 3, "endpoints": list(_own_endpoints(world.settings))}
    again: list[datetime] = []
    untried: dict[str, str] = {}
    for check in checks_for(row.connection_type):
        before = [earlier for earlier in check.after if results.get(earlier) == "failed" or earlier in untried]
        if before:
            untried[check.id] = untried.get(before[0], before[0])
        if check.id in results:
            continue
        if not before and any(results.get(earlier) == "running" for earlier in check.after):
            results[check.id] = "running"  # its turn comes when those have ended
            continue
        values = {"connection": row.id, "check": check.id, "tenant": row.tenant_id}
        _write(world, _RUNNING, {**values, "since": since})
        began = time.monotonic()
        found = _not_tried(untried[check.id]) if before else _ask(probe, check, facts)
        took = time.monotonic() - began
        ended = {"status": found.status, "code": found.code, "detail": found.detail[:1000], "took": took}
        _write(world, _ENDED, {**values, **ended})
        results[check.id] = found.status
        if found.until:
            again.append(found.until)
    return results, again


def _write(world: World, statement: TextClause, values: Mapping[str, Any]) -> None:
    with world.database.single.connect() as connection:  # not kept while a check looks: it may take seconds
        connection.execute(statement, values)


def _ask(probe: HealthProbe, check: HealthCheck, facts: Mapping[str, Any]) -> _Found:
    bad = "failed" if check.required else "warning"
    try:
        return _Found(*probe.probe(check.id, facts))
    except NotYet as wait:
        return _Found("running", None, wait.reason, wait.until)
    except ProviderError as failed:
        told = "; ".join(f"{name}: {value}" for name, value in failed.values.items() if value not in (None, ""))
        return _Found(bad, failed.code, told)
    except Exception as unexpected:
        log.exception("check %s of connection %s", check.id, facts["display_name"])
        return _Found(bad, "internalServerErrorUnknownError", repr(unexpected)[:300])


def _not_tried(because: str) -> _Found:
    return _Found("informational", None, f"{UNTRIED}: “{CHECKS[because].title}” failed")


def _own_endpoints(settings: Settings) -> Iterator[Endpoint]:
    """What of this service a Cloud PC's user may open inside it. On this machine alone, nobody else reaches it."""
    parts = urlsplit(settings.public_address or settings.portal_address)
    host = parts.hostname or ""
    if not host or host == "localhost" or _is_loopback(host):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    code = "endpointConnectivityCheckCloudPcUrlNotAllowListed"
    yield Endpoint("the portal", host, port, code, required=False)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _standing(row: Any, results: Mapping[str, str], settings: TenantSettings) -> Standing:
    return stand(
        row.health_status,
        row.failures_in_a_row,
        row.passes_in_a_row,
        overall(results),
        until_unhealthy=settings.connectionFailuresUntilUnhealthy,
        until_healthy=settings.connectionPassesUntilHealthy,
    )


def _settle(connection: Connection, row: Any, standing: Standing, result: str) -> None:
    counted = {"failures": standing.failures, "passes": standing.passes}
    connection.execute(_SETTLE, {"id": row.id, "status": standing.status, **counted})
    connection.execute(_NO_LONGER, {"id": row.id, "checks": [c.id for c in checks_for(row.connection_type)]})
    connection.execute(_REMEMBER, {"id": row.id, "tenant": row.tenant_id, "status": result, **_KEEPING})
    if standing.status != row.health_status:
        before, after = ({"healthCheckStatus": status} for status in (row.health_status, standing.status))
        change = audit.event(row.id, row.display_name, before, after)
        activity = "Connection health changed"
        audit.write(connection, row.tenant_id, "deskwright", activity, "onPremisesConnection", [change])
    if standing.settled and standing.status in USABLE:
        seats.connection_is_healthy(connection, row.tenant_id, row.id)
