"""Checking a network connection: every check of the table, its result, one overall status, and who may start by it."""

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.checks.table import HealthCheck, checks_for, overall
from deskwright.providers.contract import HealthProbe, NotYet, ProviderError
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.reconcile import seats
from deskwright.settings import TenantSettings
from deskwright.store import audit

log = logging.getLogger(__name__)

_LOAD = text(
    """
    SELECT k.*, t.settings, tenant_now(t.id) AS now,
           (SELECT count(*) FROM policy_connections pc JOIN policy_assignments a ON a.policy_id = pc.policy_id
              JOIN memberships m ON m.group_id = a.group_id WHERE pc.connection_id = k.id) AS people
      FROM connections k JOIN tenants t ON t.id = k.tenant_id WHERE k.id = :id
    """
)
_RESULT = text(
    """
    INSERT INTO connection_checks (connection_id, check_id, tenant_id, status, error_code, detail, started_at, ended_at)
    VALUES (:connection, :check, :tenant, CAST(:status AS text), :code, :detail, :started,
            CASE WHEN CAST(:status AS text) = 'running' THEN NULL ELSE tenant_now(:tenant) END)
    ON CONFLICT (connection_id, check_id) DO UPDATE SET status = excluded.status, error_code = excluded.error_code,
           detail = excluded.detail, ended_at = excluded.ended_at,
           started_at = CASE WHEN connection_checks.status = 'running' THEN connection_checks.started_at
                             ELSE excluded.started_at END
    """
)
_NEXT = text(
    "UPDATE connections SET checking = :checking, next_check_at = :at WHERE id = :id AND next_check_at = :loaded"
)
_SETTLE = text("UPDATE connections SET health_status = :status, checked_at = tenant_now(tenant_id) WHERE id = :id")
_KEPT = 20
"""Results of a connection that are remembered."""
_REMEMBER = text(
    """
    WITH old AS (
      DELETE FROM connection_results WHERE connection_id = :id AND at < (
        SELECT min(at) FROM (SELECT at FROM connection_results WHERE connection_id = :id ORDER BY at DESC LIMIT :most)
               newest))
    INSERT INTO connection_results (connection_id, at, tenant_id, status, findings)
    SELECT :id, tenant_now(:tenant), :tenant, :status, COALESCE(
             jsonb_agg(jsonb_build_object('check', check_id, 'status', status, 'code', error_code) ORDER BY check_id)
               FILTER (WHERE status IN ('warning', 'failed')), '[]')
      FROM connection_checks WHERE connection_id = :id
    ON CONFLICT DO NOTHING
    """
)


def check_connection(world: World, connection_id: UUID) -> None:
    """Run every check once. One that is under way is asked again when it says; until all have ended, the last settled
    status stays (V3)."""
    with world.database.engine.connect() as connection:
        row = connection.execute(_LOAD, {"id": connection_id}).one_or_none()
    if row is None or row.next_check_at is None or row.next_check_at > row.now:
        return
    probe = providers_for(world.database, load_site(world.database, row.site_id)).health
    facts = {**row._mapping, "ad_domain_password": None, "demand": row.people * 3}
    results: dict[str, str] = {}
    again: list[datetime] = []
    for check in checks_for(row.connection_type):
        status, code, detail, until = _ask(probe, check, facts)
        results[check.id] = status
        if until:
            again.append(until)
        _record(world, row, check, status, code, detail)
    settings = TenantSettings(**row.settings)
    with world.database.begin() as connection:
        if again:
            values = {"at": max(min(again), row.now + timedelta(milliseconds=200)), "checking": True}
        else:
            values = {"at": row.now + timedelta(hours=settings.connectionRefreshInHours), "checking": False}
        if not connection.execute(_NEXT, {**values, "id": connection_id, "loaded": row.next_check_at}).rowcount:
            return  # edited, or asked for, meanwhile: what was looked at is not what it is now, and it comes again
        if not again:
            _settle(connection, row, overall(results))


def _ask(probe: HealthProbe, check: HealthCheck, facts: dict[str, Any]) -> tuple[str, str | None, str, datetime | None]:
    try:
        status, code, detail = probe.probe(check.id, facts)
    except NotYet as wait:
        return "running", None, wait.reason, wait.until
    except ProviderError as failed:
        return "failed" if check.required else "warning", failed.code, str(failed.values), None
    except Exception as unexpected:
        log.exception("check %s of connection %s", check.id, facts["display_name"])
        return (
            "failed" if check.required else "warning",
            "internalServerErrorUnknownError",
            repr(unexpected)[:300],
            None,
        )
    return status, code, detail, None


def _record(world: World, row: Any, check: HealthCheck, status: str, code: str | None, detail: str) -> None:
    values = {
        "connection": row.id,
        "check": check.id,
        "tenant": row.tenant_id,
        "status": status,
        "code": code,
        "detail": detail[:500],
        "started": row.now,
    }
    with world.database.single.connect() as connection:
        connection.execute(_RESULT, values)


def _settle(connection: Connection, row: Any, status: str) -> None:
    connection.execute(_SETTLE, {"id": row.id, "status": status})
    kept = {"id": row.id, "tenant": row.tenant_id, "status": status, "most": _KEPT - 1}
    connection.execute(_REMEMBER, kept)
    if status != row.health_status:
        change = audit.event(
            row.id, row.display_name, {"healthCheckStatus": row.health_status}, {"healthCheckStatus": status}
        )
        audit.write(
            connection,
            row.tenant_id,
            "deskwright",
            "Connection health changed",
            "onPremisesConnection",
            [change],
        )
    if status in ("passed", "warning"):
        seats.connection_is_healthy(connection, row.tenant_id, row.id)
