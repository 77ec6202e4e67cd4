"""Synchronising a domain: read what it says, and make the tenant the same in one transaction.

Reading comes first and holds nothing. What was read is merged under the tenant's lock, and only while this run is
still the domain's: a process that was frozen and wakes up finds another time in `syncing_since` and writes nothing.
Killed anywhere, it is simply due again.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.active_directory import changes
from deskwright.active_directory.changes import Cursor
from deskwright.active_directory.problems import DirectoryProblem
from deskwright.active_directory.reading import Seen
from deskwright.domain.rules import ConfirmationRequired
from deskwright.operations.change import Change, TenantRef, brake, change
from deskwright.operations.domain_findings import UNSOLVED
from deskwright.operations.domain_merge import merge
from deskwright.operations.named import Item
from deskwright.provision.context import World
from deskwright.store import audit
from deskwright.store import domains as known_domains
from deskwright.store.audit import event
from deskwright.store.database import Database

log = logging.getLogger(__name__)

NEVER, SUCCEEDED, FAILED, CONFIRM = "never", "succeeded", "failed", "confirmationRequired"
KEPT = 20
"""Runs of a domain that are remembered."""
_MOST_FINDINGS = 500
_TELL_SECONDS = 0.5
_ACTOR = "deskwright"

_LOAD = text(
    """
    SELECT d.*, t.name AS tenant, tenant_now(d.tenant_id) AS now,
           (SELECT s.findings FROM domain_syncs s WHERE s.domain_id = d.id AND s.status = 'succeeded'
             ORDER BY s.at DESC LIMIT 1) AS last_findings
      FROM domains d JOIN tenants t ON t.id = d.tenant_id WHERE d.id = :id
    """
)
_BEGIN = text("UPDATE domains SET syncing_since = :now, sync_progress = :progress WHERE id = :id")
_TELL = text("UPDATE domains SET sync_progress = :progress WHERE id = :id AND syncing_since = :since")
_FENCE = text("SELECT sync_status FROM domains WHERE id = :id AND syncing_since = :since FOR UPDATE")
# Asked for, or edited, meanwhile: then it comes again at once.
_END = """
    UPDATE domains SET syncing_since = NULL, sync_progress = '', sync_status = :status, sync_error_code = :code,
           sync_detail = :detail, sync_losing = CAST(:losing AS jsonb), sync_confirmed = false,
           next_sync_at = CASE WHEN next_sync_at IS DISTINCT FROM :loaded THEN next_sync_at WHEN sync_enabled
             THEN tenant_now(tenant_id) + make_interval(mins => sync_interval_minutes) END{more}
     WHERE id = :id
"""
_ENDED = text(_END.format(more=""))
# Where the search bases or the account were changed meanwhile, everything is read again.
_SUCCEEDED = text(
    _END.format(
        more=""", synced_at = tenant_now(tenant_id),
           cursor = CASE WHEN cursor = CAST(:had AS jsonb) THEN CAST(:cursor AS jsonb) ELSE cursor END"""
    )
)
_REMEMBER = text(
    """
    WITH old AS (
      DELETE FROM domain_syncs WHERE domain_id = :id AND at < (
        SELECT min(at) FROM (SELECT at FROM domain_syncs WHERE domain_id = :id ORDER BY at DESC LIMIT :most) newest))
    INSERT INTO domain_syncs (domain_id, at, tenant_id, status, complete, seconds, error_code, detail, counts, findings)
    VALUES (:id, :at, :tenant, :status, :complete, :seconds, :code, :detail, CAST(:counts AS jsonb),
            CAST(:findings AS jsonb))
    ON CONFLICT DO NOTHING
    """
)
# Machines that wait for their computer to come (C4) look at once instead of within a minute.
_WAKE = text(
    """
    UPDATE runs r SET wake_at = tenant_now(:tenant)
     WHERE r.tenant_id = :tenant AND r.state = 'active' AND r.wake_at > tenant_now(:tenant)
       AND EXISTS (SELECT 1 FROM steps s WHERE s.run_id = r.id AND s.step = 'C4' AND s.outcome = 'running')
    """
)


class _NotOurs(Exception):
    """Another run of the domain has begun, or the domain is gone."""


@dataclass
class _Outcome:
    status: str
    code: str | None = None
    detail: str = ""
    losing: Item | None = None
    complete: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    findings: list[Item] = field(default_factory=list)


def synchronise(world: World, domain: UUID) -> None:
    """Do it once, where it is due. What went wrong stands in the domain afterwards; nothing is raised for it."""
    database = world.database
    with database.single.connect() as connection:
        row = connection.execute(_LOAD, {"id": domain}).one_or_none()
        if row is None or row.next_sync_at is None or row.next_sync_at > row.now:
            return
        connection.execute(_BEGIN, {"id": domain, "now": row.now, "progress": "signing in"})
    began = time.monotonic()
    try:
        _run(world, row, began)
    except _NotOurs:
        log.info("synchronisation of %s was taken over", row.name)
        return
    except DirectoryProblem as problem:
        outcome = _Outcome(FAILED, problem.reason.value, problem.detail)
    except _Stopped as stopped:
        outcome = stopped.outcome
    except Exception as unexpected:
        log.exception("synchronisation of %s", row.name)
        outcome = _Outcome(FAILED, "unknown", f"{type(unexpected).__name__}: {unexpected}"[:300])
    else:
        return
    with database.begin() as connection:
        _end(connection, row, outcome, time.monotonic() - began, _ENDED)


class _Stopped(Exception):
    """R13: the run was taken back and asks."""

    def __init__(self, outcome: _Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


def _run(world: World, row: "Row[Any]", began: float) -> None:
    known = known_domains.by_id(world.database.single, row.id)
    if known is None:
        raise _NotOurs
    cursor = Cursor.from_json(row.cursor)
    unsolved = [UUID(f["sourceId"]) for f in row.last_findings or () if f["code"] in UNSOLVED]
    tell = _Teller(world.database, row)
    with changes.at_the_same_controller(known.domain, known.account(world.secrets), cursor) as opened:
        seen, after = changes.read(opened, row.search_bases, cursor, row.now, again=unsolved, tell=tell)
    tell("comparing", at_once=True)
    # The brake is pulled here and not by `change`: what was confirmed are these people, not whatever comes.
    with change(world.database, TenantRef(row.tenant_id, row.tenant), _ACTOR, confirmed=True) as opened_change:
        connection = opened_change.connection
        if connection.execute(_FENCE, {"id": row.id, "since": row.now}).one_or_none() is None:
            raise _NotOurs
        merged = merge(opened_change, row.id, seen)
        merged.counts["objectsRead"] = seen.objects_read
        if merged.counts.get("computersAdded"):
            connection.execute(_WAKE, {"tenant": row.tenant_id})
        findings = [*_kept(row, seen), *merged.findings][:_MOST_FINDINGS]
        outcome = _Outcome(SUCCEEDED, complete=seen.complete, counts=merged.counts, findings=findings)
        _brake(opened_change, row, outcome)
        if merged.anything:
            told = {**merged.counts, "complete": seen.complete}
            opened_change.audit("Synchronise domain", "domain", [event(row.id, row.name, None, told)])
        cursors = {"had": json.dumps(row.cursor), "cursor": json.dumps(after.as_json())}
        _end(connection, row, outcome, time.monotonic() - began, _SUCCEEDED, **cursors)


def _brake(opened: Change, row: "Row[Any]", outcome: _Outcome) -> None:
    """R13: stop and ask, unless just these people were shown and confirmed."""
    try:
        brake(opened)
    except ConfirmationRequired as asked:
        losing = {str(v.user_id) for v in opened.verdicts() if v.loses}
        shown = row.sync_losing or {}
        if row.sync_confirmed and losing <= set(shown.get("ids", ())):
            return
        kept = {"people": asked.losing, "of": asked.of, "who": asked.who, "ids": sorted(losing)}
        stopped = _Outcome(CONFIRM, asked.code, asked.rule, kept, outcome.complete, outcome.counts, outcome.findings)
        raise _Stopped(stopped) from asked


def _kept(row: "Row[Any]", seen: Seen) -> list[Item]:
    """What was found before about objects that this run did not look at."""
    if seen.complete:
        return []
    looked = {*(p.source_id for p in seen.people), *(g.source_id for g in seen.groups), *seen.gone}
    found = [f for f in row.last_findings or () if UUID(f["sourceId"]) not in looked]
    return [f for f in found if seen.listed is None or UUID(f["sourceId"]) in seen.listed]


def _end(connection: Connection, row: "Row[Any]", outcome: _Outcome, seconds: float, ends: Any, **cursors: str) -> None:
    """Write down how it ended, unless it is another run's by now."""
    had = connection.execute(_FENCE, {"id": row.id, "since": row.now}).one_or_none()
    if had is None:
        return
    told = {"status": outcome.status, "code": outcome.code, "detail": outcome.detail[:500]}
    losing = json.dumps(outcome.losing) if outcome.losing else None
    connection.execute(ends, {**told, **cursors, "id": row.id, "losing": losing, "loaded": row.next_sync_at})
    connection.execute(
        _REMEMBER,
        {
            **told,
            "id": row.id,
            "at": row.now,
            "tenant": row.tenant_id,
            "complete": outcome.complete,
            "seconds": round(seconds, 3),
            "counts": json.dumps(dict(outcome.counts)),
            "findings": json.dumps(outcome.findings),
            "most": KEPT - 1,
        },
    )
    if had.sync_status != outcome.status:
        differ = event(
            row.id,
            row.name,
            {"syncStatus": had.sync_status},
            {"syncStatus": outcome.status, **({"detail": outcome.detail[:500]} if outcome.detail else {})},
        )
        audit.write(connection, row.tenant_id, _ACTOR, "Domain synchronisation changed", "domain", [differ])


class _Teller:
    """Writes down how far a run is, now and then."""

    def __init__(self, database: Database, row: "Row[Any]") -> None:
        self._database, self._row, self._told = database, row, 0.0

    def __call__(self, progress: str, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._told >= _TELL_SECONDS:
            self._told = now
            with self._database.single.connect() as connection:
                connection.execute(_TELL, {"id": self._row.id, "since": self._row.now, "progress": progress})
