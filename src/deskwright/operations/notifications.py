"""Telling people by mail and webhook what happened to their Cloud PC (R9, R16).

Workers do this beside their runs, every few seconds: *look* finds what happened and writes a row for each thing and
channel, *send* sends the rows that are due. What changes a status writes its event itself, by a trigger, in the same
transaction (R6). A row is claimed by moving its next time on, sent, and marked: whoever dies
in between sends it again later, and nobody sends it after it was marked. Nothing of this happens inside a run.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.notices import EVENT_TYPES, REMINDERS, TRIES, About, Channel, Kind, letter, pause_after
from deskwright.domain.rules import Refused
from deskwright.domain.status import TAKEN_AWAY, Status
from deskwright.operations import mail, webhooks
from deskwright.operations.change import TenantRef
from deskwright.operations.mail import Mailer, NotSent
from deskwright.operations.named import Item
from deskwright.provision.context import World
from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets
from deskwright.telemetry.metrics import NOTIFICATIONS

log = logging.getLogger(__name__)

MARGIN = timedelta(seconds=15)
_LONGEST_BEHIND = timedelta(hours=1)
_LEASE = timedelta(minutes=5)
_BATCH = 50
_KEPT, _EVENTS_KEPT = timedelta(days=90), timedelta(days=7)

_HANDED_OVER = f"('{Status.PROVISIONED}', '{Status.WARNINGS}', " + ", ".join(f"'{s}'" for s in sorted(TAKEN_AWAY)) + ")"
_HOURS = {kind: int(before.total_seconds() // 3600) for kind, before in REMINDERS.items()}


def _reminder(kind: Kind, until_next: int) -> str:
    """Due since the last look; not where the next, more urgent one is due too, nor where grace began after it was."""
    hours = f"make_interval(hours => {_HOURS[kind]})"
    return f"""
        SELECT c.id, '{kind}', c.grace_ends_at - {hours} FROM (
          SELECT id, status, status_since, grace_ends_at FROM cloud_pcs
           WHERE tenant_id = s.id AND grace_ends_at IS NOT NULL AND grace_ends_at <= s.now + {hours}
             AND grace_ends_at > GREATEST(s.since + {hours}, s.now + make_interval(hours => {until_next})) OFFSET 0) c
         WHERE c.status = '{Status.IN_GRACE}' AND c.status_since < c.grace_ends_at - {hours}"""


# A change is seen once its transaction commits, but bears the time at which that began. So a look goes back as far as
# the oldest transaction that is open, and a little more; what it finds again has its row already. OFFSET 0 keeps each
# scan of the Cloud PCs to the index of what changed, or what ends: by status it would read them all. So does an upper
# bound that nothing exceeds: of everything after an unknown time the planner expects a third of all rows.
_LOOK = text(
    f"""
    WITH here AS MATERIALIZED (
      SELECT t.id, tenant_now(t.id) AS now, t.notified_until, array_remove(ARRAY[
               CASE WHEN :mail AND COALESCE((t.settings ->> 'notifyByMail')::boolean, true) THEN '{Channel.MAIL}' END,
               CASE WHEN t.settings ->> 'webhookUrl' IS NOT NULL THEN '{Channel.WEBHOOK}' END], NULL) AS channels
        FROM tenants t WHERE :mail OR t.notified_until IS NOT NULL OR t.settings ->> 'webhookUrl' IS NOT NULL
         FOR NO KEY UPDATE SKIP LOCKED),
    spans AS MATERIALIZED (
      SELECT h.id, h.now, h.channels, COALESCE(h.notified_until - CAST(:margin AS interval), GREATEST(
               h.now - CAST(:running AS interval),
               (SELECT max(e.at) FROM audit_events e WHERE e.object_id = h.id::text AND e.tenant_id = h.id
                   AND e.object_type = 'tenant' AND jsonb_exists(e.after, 'settings')))) AS since
        FROM here h WHERE h.channels <> '{{}}'),
    looked AS (
      UPDATE tenants t SET notified_until = GREATEST(s.since + CAST(:margin AS interval), s.now - LEAST(
               CAST(:longest_behind AS interval),
               (SELECT COALESCE(max(now() - xact_start), interval '0') FROM pg_stat_activity
                 WHERE datname = current_database() AND backend_type = 'client backend')))
        FROM spans s WHERE s.id = t.id),
    switched_off AS (
      UPDATE tenants t SET notified_until = NULL FROM here h
       WHERE h.id = t.id AND h.channels = '{{}}' AND h.notified_until IS NOT NULL)
    INSERT INTO notifications (tenant_id, cloud_pc_id, kind, channel, about)
    SELECT s.id, happened.cloud_pc_id, happened.kind, told.channel, happened.about
      FROM spans s CROSS JOIN LATERAL (
        SELECT c.id AS cloud_pc_id, CASE c.status WHEN '{Status.IN_GRACE}' THEN '{Kind.GRACE}' ELSE '{Kind.READY}' END
                 AS kind, CASE c.status WHEN '{Status.IN_GRACE}' THEN c.status_since ELSE c.provisioned_at END AS about
          FROM (SELECT id, status, status_since, provisioned_at FROM cloud_pcs
                 WHERE tenant_id = s.id AND status <> 'gone'
                   AND modified_at > s.since AND modified_at < s.now + interval '1 day' OFFSET 0) c
         WHERE (c.status = '{Status.IN_GRACE}' AND c.status_since > s.since)
            OR (c.status IN {_HANDED_OVER} AND c.provisioned_at > s.since)
        UNION ALL {_reminder(Kind.GRACE_48H, _HOURS[Kind.GRACE_24H])}
        UNION ALL {_reminder(Kind.GRACE_24H, 0)}) happened
     CROSS JOIN unnest(s.channels) AS told (channel)
    ON CONFLICT DO NOTHING
    """
)
# An event of a status that was taken is of no use to anybody soon; the rest says what somebody was told.
_FORGET = text(
    f"""
    DELETE FROM notifications WHERE id IN (
      SELECT old.id FROM tenants t CROSS JOIN LATERAL (
        (SELECT n.id FROM notifications n
          WHERE n.tenant_id = t.id AND n.about < tenant_now(t.id) - CAST(:kept AS interval) AND n.state <> 'pending'
          ORDER BY n.about LIMIT 100)
        UNION ALL
        (SELECT n.id FROM notifications n
          WHERE n.tenant_id = t.id AND n.about < tenant_now(t.id) - CAST(:events_kept AS interval)
            AND n.kind = '{Kind.STATUS}' AND n.state IN ('sent', 'discarded') ORDER BY n.about LIMIT 1000)) old)
    """
)

_REMINDS = " ".join(
    f"WHEN '{kind}' THEN c.status = '{Status.IN_GRACE}' AND c.grace_ends_at > tenant_now(n.tenant_id) "
    f"AND c.grace_ends_at - make_interval(hours => {hours}) = n.about"
    for kind, hours in _HOURS.items()
)
# What was written down may be over when its time comes: `holds` says whether it is still so. A change of a status is
# never over. The events of one Cloud PC go one after the other: while one waits for its next try, the later ones do.
_CLAIM = text(
    f"""
    WITH mails AS (
      SELECT id FROM notifications
       WHERE channel = '{Channel.MAIL}' AND state = 'pending' AND next_at <= now() AND NOT :no_mail
       ORDER BY next_at, number LIMIT :batch FOR UPDATE SKIP LOCKED),
    events AS (
      SELECT d.id FROM tenants t CROSS JOIN LATERAL (
        SELECT n.id FROM notifications n
         WHERE n.tenant_id = t.id AND n.channel = '{Channel.WEBHOOK}' AND n.state = 'pending' AND n.next_at <= now()
           AND NOT EXISTS (SELECT 1 FROM notifications e WHERE e.cloud_pc_id = n.cloud_pc_id AND e.number < n.number
                              AND e.state = 'pending' AND e.channel = '{Channel.WEBHOOK}')
         ORDER BY n.next_at, n.number LIMIT :batch FOR UPDATE SKIP LOCKED) d
       WHERE NOT (t.id = ANY(CAST(:no_webhook AS uuid[])))
         AND (t.webhook_retry_at IS NULL OR t.webhook_retry_at <= now())),
    due AS (SELECT id FROM mails UNION ALL SELECT id FROM events),
    claimed AS (
      UPDATE notifications n SET attempts = n.attempts + 1, next_at = now() + CAST(:lease AS interval)
        FROM due WHERE n.id = due.id RETURNING n.*)
    SELECT n.id, n.tenant_id, n.kind, n.channel, n.about, n.attempts, n.number, n.data,
           t.webhook_failures, t.name AS tenant, t.settings,
           c.id AS cloud_pc_id, c.display_name, c.device_name, c.status, c.policy_name, c.grace_ends_at,
           p.display_name AS plan, u.user_principal_name, u.display_name AS person, COALESCE(u.mail, '') AS mail,
           u.account_enabled AND u.deleted_at IS NULL AS reachable,
           CASE n.kind WHEN '{Kind.READY}' THEN c.status IN {_HANDED_OVER} AND c.provisioned_at = n.about
                       WHEN '{Kind.STATUS}' THEN true
                       WHEN '{Kind.GRACE}' THEN c.status = '{Status.IN_GRACE}' AND c.status_since = n.about
                       {_REMINDS} ELSE false END AS holds
      FROM claimed n JOIN tenants t ON t.id = n.tenant_id JOIN cloud_pcs c ON c.id = n.cloud_pc_id
      JOIN users u ON u.id = c.user_id JOIN service_plans p ON p.id = c.plan_id ORDER BY n.about, n.number
    """
)
# Only whoever holds the claim writes: one that has run out, and was taken over, has another number of attempts.
_MINE = "WHERE id = :id AND state = 'pending' AND attempts = :attempts"
_SENT = text(f"UPDATE notifications SET state = 'sent', sent_at = now(), last_error = NULL {_MINE}")
_DROP = text(f"DELETE FROM notifications {_MINE}")
_GIVE_BACK = text(f"UPDATE notifications SET attempts = attempts - 1, next_at = now() {_MINE}")
# One that is away altogether is left alone for a while: it would keep the others waiting, and every event would use up
# its tries although it was never sent.
_AWAY = text(
    "UPDATE tenants SET webhook_failures = webhook_failures + 1, webhook_retry_at = now() + CAST(:pause AS interval) "
    "WHERE id = :tenant"
)
_BACK = text(
    "UPDATE tenants SET webhook_failures = 0, webhook_retry_at = NULL WHERE id = :tenant AND webhook_failures > 0"
)
_FAILED = text(
    f"""
    UPDATE notifications SET last_error = :error, next_at = now() + COALESCE(CAST(:pause AS interval), interval '0'),
           state = CASE WHEN CAST(:pause AS interval) IS NULL THEN 'failed' ELSE 'pending' END {_MINE}
    """
)
# A mail that was given up is no trouble once another got through; a dead letter waits for somebody.
_TROUBLE = text(
    f"""
    SELECT t.name AS tenant, n.channel, n.failing, n.dead, n.error, CASE WHEN n.channel = '{Channel.WEBHOOK}' THEN (
             SELECT count(*) FROM notifications w WHERE w.tenant_id = t.id AND w.channel = '{Channel.WEBHOOK}'
                AND w.state = 'pending') ELSE 0 END AS waiting FROM tenants t CROSS JOIN LATERAL (
      SELECT x.channel, count(*) AS failing, count(*) FILTER (WHERE x.state = 'failed') AS dead,
             bool_or(x.state = 'pending') AS trying, max(x.next_at) FILTER (WHERE x.state = 'failed') AS given_up,
             (array_agg(x.last_error ORDER BY x.next_at DESC))[1] AS error
        FROM notifications x
       WHERE x.tenant_id = t.id AND x.last_error IS NOT NULL AND x.state IN ('pending', 'failed')
       GROUP BY x.channel) n
     WHERE (CAST(:tenant AS uuid) IS NULL OR t.id = :tenant)
       AND (n.trying OR n.channel = '{Channel.WEBHOOK}' OR n.given_up > COALESCE((
             SELECT max(m.sent_at) FROM notifications m
              WHERE m.tenant_id = t.id AND m.channel = '{Channel.MAIL}' AND m.state = 'sent'), '-infinity'))
     ORDER BY 1, 2
    """
)


def tell(world: World, stopping: Callable[[], bool] = lambda: False, running: timedelta = timedelta()) -> int:
    """Find what happened, and send what is due; returns how many were sent. `stopping` is asked before each.

    `running`: for how long somebody has looked regularly already. A tenant that is new since then is told everything.
    """
    look(world.database, world.settings, running)
    return send(world, stopping)


def look(database: Database, settings: Settings, running: timedelta = timedelta()) -> int:
    """Write down what people are to be told; returns how many rows. Nothing from before a channel was switched on."""
    values = {"mail": _mail_is_set(settings), "margin": MARGIN, "running": running, "longest_behind": _LONGEST_BEHIND}
    with database.single.connect() as connection:
        return connection.execute(_LOOK, values).rowcount


def send(world: World, stopping: Callable[[], bool] = lambda: False) -> int:
    """Send what is due; returns how many were sent. What fails comes again later, and is given up in the end."""
    sent = 0
    try:
        server, problem = mail.server(world.settings), ""
    except Refused as refused:
        server, problem = None, str(refused)
    with ExitStack() as stack:
        mailer = stack.enter_context(Mailer(server)) if server else None
        # Where nothing gets through: the error, by the place. All that is claimed for it waits; the rest is not tried.
        broken: dict[UUID | None, NotSent] = {None: NotSent(problem, whole=True)} if problem else {}
        while not stopping():
            claimed_at = time.monotonic()
            batch = _claim(world.database, broken)
            for row in batch:
                if stopping() or time.monotonic() - claimed_at > _LEASE.total_seconds() / 2:
                    _mark(world.database, _GIVE_BACK, row)
                elif not row.holds or not _is_open(row, world.settings):
                    _mark(world.database, _DROP, row)
                else:
                    sent += _try(world, row, mailer, broken)
            if not batch:
                break
    if sent:
        with world.database.single.connect() as connection:
            connection.execute(_FORGET, {"kept": _KEPT, "events_kept": _EVENTS_KEPT})
    return sent


def webhook_secret(secrets: Secrets, tenant: TenantRef) -> str:
    """What a receiver verifies this tenant's events with."""
    return webhooks.secret(secrets, tenant.id)


def trouble(connection: Connection, tenant: UUID | None = None) -> list[Item]:
    """Where something that was to be told did not get through: tenant, channel, how many failing, how many of them
    for good, how many events wait, an error."""
    return [dict(row._mapping) for row in connection.execute(_TROUBLE, {"tenant": tenant})]


def _claim(database: Database, broken: Mapping[UUID | None, NotSent]) -> "list[Row[Any]]":
    values = {
        "no_mail": None in broken,
        "no_webhook": [place for place in broken if place is not None],
        "batch": _BATCH,
        "lease": _LEASE,
    }
    with database.begin() as connection:
        return list(connection.execute(_CLAIM, values))


def _try(world: World, row: "Row[Any]", mailer: Mailer | None, broken: dict[UUID | None, NotSent]) -> int:
    """1 where it was sent."""
    place = None if row.channel == Channel.MAIL else row.tenant_id
    if place is not None and place in broken:
        _mark(world.database, _GIVE_BACK, row)
        return 0
    try:
        if place in broken:
            raise broken[place]
        if row.channel == Channel.MAIL:
            assert mailer is not None
            _send_mail(world.settings, mailer, row)
        else:
            url = row.settings["webhookUrl"]
            webhooks.post(url, event(row), webhooks.keys(world.secrets, row.tenant_id))
    except NotSent as failure:
        if failure.whole and place not in broken:
            broken[place] = failure
            log.warning("people of %s could not be told by %s: %s", row.tenant, row.channel, failure.reason)
            if place is not None:
                _leave_alone(world.database, row)
        pause = None if failure.for_good else pause_after(row.attempts)
        _mark(world.database, _FAILED, row, error=failure.reason, pause=pause)
        NOTIFICATIONS.count(row.channel, "failed" if pause else "deadLetter")
        return 0
    except Exception as bug:  # one that cannot be written must not keep the others waiting
        log.exception("notification %s could not be written", row.id)
        _mark(world.database, _FAILED, row, error=f"{type(bug).__name__}: {bug}"[:300], pause=pause_after(row.attempts))
        return 0
    _mark(world.database, _SENT, row)
    if place is not None and row.webhook_failures:
        with world.database.begin() as connection:
            connection.execute(_BACK, {"tenant": place})
    NOTIFICATIONS.count(row.channel, "sent")
    return 1


def _leave_alone(database: Database, row: "Row[Any]") -> None:
    pause = pause_after(min(row.webhook_failures + 1, TRIES - 1))
    with database.begin() as connection:
        connection.execute(_AWAY, {"tenant": row.tenant_id, "pause": pause})


def _send_mail(settings: Settings, mailer: Mailer, row: "Row[Any]") -> None:
    about = About(row.person, row.display_name, settings.portal_address, row.grace_ends_at)
    written = letter(Kind(row.kind), about)
    address = row.mail or row.user_principal_name
    mailer.send(mail.compose(mailer.server.sender, row.person, address, written, message_id=str(row.id)))


def event(row: "Row[Any]") -> Item:
    """A notification as a CloudEvent; its data has the API's property names.

    ``sequence`` (CloudEvents' extension of that name) grows with the events of one Cloud PC, 20 digits so that
    comparing texts is comparing numbers.
    """
    return {
        "specversion": "1.0",
        "id": str(row.id),
        "source": f"/deskwright/tenants/{row.tenant_id}",
        "type": EVENT_TYPES[Kind(row.kind)],
        "subject": str(row.cloud_pc_id),
        "time": _written(row.about),
        "sequence": f"{row.number:020d}",
        "datacontenttype": "application/json",
        "data": _then(row.data) if row.kind == Kind.STATUS else _now(row),
    }


def _then(data: Mapping[str, Any]) -> Item:
    """What was so when the status changed."""
    ends = data["gracePeriodEndDateTime"]
    return {**data, "gracePeriodEndDateTime": None if ends is None else _written(datetime.fromisoformat(ends))}


def _now(row: "Row[Any]") -> Item:
    return {
        "tenant": row.tenant,
        "id": str(row.cloud_pc_id),
        "displayName": row.display_name,
        "managedDeviceName": row.device_name,
        "userPrincipalName": row.user_principal_name,
        "servicePlanName": row.plan,
        "provisioningPolicyName": row.policy_name,
        "status": row.status,
        "gracePeriodEndDateTime": None if row.grace_ends_at is None else _written(row.grace_ends_at),
    }


def _is_open(row: "Row[Any]", settings: Settings) -> bool:
    """Whether the channel is switched on still, and by mail somebody there who may sign in."""
    if row.channel == Channel.WEBHOOK:
        return bool(row.settings.get("webhookUrl"))
    return _mail_is_set(settings) and bool(row.settings.get("notifyByMail", True)) and bool(row.reachable)


def _mail_is_set(settings: Settings) -> bool:
    return settings.smtp_url is not None and bool(settings.smtp_url.get_secret_value())


def _mark(database: Database, query: Any, row: "Row[Any]", **values: Any) -> None:
    with database.single.connect() as connection:  # one round trip instead of three
        connection.execute(query, {"id": row.id, "attempts": row.attempts, **values})


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
