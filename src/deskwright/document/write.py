"""Writing the differences of objects: set by set, only what differs, each written down (never a password)."""

import json
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from deskwright.document.kinds import KINDS, Kind
from deskwright.document.model_policies import DEFAULTS
from deskwright.operations.change import Change
from deskwright.reconcile import seats
from deskwright.store.audit import event

# In this order, as each may refer to those before it. Users come before plans, as in reconcile: whoever locks
# both does so in one order.
_ORDER = (
    "domains",
    "users",
    "groups",
    "roleGroups",
    "identityProviders",
    "sites",
    "servicePlans",
    "onPremisesConnections",
    "deviceImages",
    "userSettings",
    "provisioningPolicies",
)
# A person who comes back while a Cloud PC of theirs still lives is the same person: what was lost is back in time (E8).
_RESTORE = text(
    """
    UPDATE users u SET deleted_at = NULL FROM (
      SELECT DISTINCT ON (s.key) t.id FROM staged s
        JOIN users t ON t.tenant_id = :tenant AND lower(t.user_principal_name) = s.key AND t.deleted_at IS NOT NULL
          AND t.domain_id IS NULL
       WHERE s.kind = 'users'
         AND NOT EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = :tenant AND lower(o.user_principal_name) = s.key
                          AND o.deleted_at IS NULL)
         AND EXISTS (SELECT 1 FROM cloud_pcs c WHERE c.user_id = t.id AND c.status NOT IN ('gone', 'deprovisioning'))
       ORDER BY s.key, t.deleted_at DESC, t.id) back
     WHERE u.id = back.id RETURNING u.id, u.user_principal_name
    """
)
_LARGE = 200


def _compare(kind: Kind) -> str:
    after = "(CASE WHEN t.id IS NULL THEN CAST(:defaults AS jsonb) ELSE t.document END) || s.doc"
    differs = "false" if kind.all_key else "t.document || s.doc <> t.document OR s.secret IS NOT NULL"
    return f"""
    INSERT INTO differences (kind, position, line, id, name, before, after, secret)
    SELECT s.kind, s.position, s.line, COALESCE(t.id, gen_random_uuid()), s.name, t.document, {after}, s.secret
      FROM staged s LEFT JOIN (
        SELECT t.id, {kind.key} AS key, {kind.document} AS document FROM {kind.table} t
         WHERE t.tenant_id = :tenant AND {kind.live}) t ON t.key = s.key
     WHERE s.kind = :kind AND (t.id IS NULL OR {differs})
    """


def _insert(kind: Kind) -> str:
    columns = {**kind.columns, **kind.also_new}
    return f"""
    INSERT INTO {kind.table} (id, tenant_id, created_at, {", ".join(columns)})
    SELECT d.id, :tenant, tenant_now(:tenant), {", ".join(columns.values())} FROM differences d
     WHERE d.kind = :kind AND d.before IS NULL ORDER BY d.position
    """


def _update(kind: Kind) -> str:
    columns = {**kind.columns, **kind.also_changed}
    return f"""
    UPDATE {kind.table} t SET {", ".join(f"{column} = {value}" for column, value in columns.items())}
      FROM differences d WHERE d.kind = :kind AND d.before IS NOT NULL AND d.after IS NOT NULL AND t.id = d.id
    """


# Only what differs, so that a reader sees the change and not the object. Of a password only that there is a new one.
AUDIT = text(
    """
    INSERT INTO audit_events (tenant_id, at, actor, activity, object_type, object_id, object_name, before, after)
    SELECT :tenant, tenant_now(:tenant), :actor,
           CASE WHEN d.before IS NULL THEN 'Create ' WHEN d.after IS NULL THEN 'Delete ' ELSE 'Update ' END || :word,
           :type, d.id::text, d.name,
           CASE WHEN d.before IS NULL OR d.after IS NULL THEN d.before ELSE changed.before END
             || CASE WHEN d.secret IS NULL OR d.before IS NULL THEN '{}'
               ELSE jsonb_build_object(CAST(:secret AS text), '(hidden)') END,
           CASE WHEN d.before IS NULL OR d.after IS NULL THEN d.after ELSE changed.after END
             || CASE WHEN d.secret IS NULL THEN '{}' ELSE jsonb_build_object(CAST(:secret AS text), '(changed)') END
      FROM differences d CROSS JOIN LATERAL (
        SELECT COALESCE(jsonb_object_agg(k, d.before->k), '{}') AS before, COALESCE(jsonb_object_agg(k,
          d.after->k), '{}') AS after
          FROM jsonb_object_keys(d.after) k WHERE d.before->k IS DISTINCT FROM d.after->k) changed
     WHERE d.kind = :kind AND (d.after IS NULL) = :deleted ORDER BY d.position
    """
)
_CONNECTIONS_OF = """
    FROM differences d CROSS JOIN LATERAL
         jsonb_array_elements(d.after->'domainJoinConfigurations') WITH ORDINALITY AS j (join_, position)
     WHERE d.kind = 'provisioningPolicies' AND d.after IS NOT NULL
       AND d.before->'domainJoinConfigurations' IS DISTINCT FROM d.after->'domainJoinConfigurations'
"""
_DISCONNECT = text(
    f"DELETE FROM policy_connections pc USING (SELECT DISTINCT d.id {_CONNECTIONS_OF}) d WHERE pc.policy_id = d.id"
)
_CONNECT = text(
    f"""
    INSERT INTO policy_connections (policy_id, position, connection_id, tenant_id)
    SELECT c.id, c.position - 1, k.id, :tenant FROM (SELECT d.id, j.position,
      j.join_->>'onPremisesConnection' AS name {_CONNECTIONS_OF}) c
      JOIN connections k ON k.tenant_id = :tenant AND lower(k.display_name) = lower(c.name)
    """
)
_DISABLED = text(
    """
    INSERT INTO touches (user_id, gain, position, activity, object)
    SELECT d.id, CAST(d.after->>'accountEnabled' AS boolean), d.position,
           CASE WHEN CAST(d.after->>'accountEnabled' AS boolean) THEN 'User enabled' ELSE 'User disabled' END, d.name
      FROM differences d WHERE d.kind = 'users' AND d.after IS NOT NULL
        AND d.before->'accountEnabled' <> d.after->'accountEnabled'
    """
)
_MORE_SEATS = text(
    "SELECT d.id FROM differences d WHERE d.kind = 'servicePlans' "
    "AND CAST(d.after->>'seats' AS integer) > CAST(d.before->>'seats' AS integer)"
)
# Those whose policy got another network no longer wait for the connection it had.
_ELSEWHERE = text(
    f"""
    UPDATE cloud_pcs c SET waiting_for = 'start' FROM (SELECT DISTINCT d.id {_CONNECTIONS_OF}) d
     WHERE c.policy_id = d.id AND c.status = 'pendingProvision' AND c.waiting_for = 'connection' RETURNING c.plan_id
    """
)


@dataclass
class Counts:
    """How many objects of each kind were created, updated and deleted."""

    by_kind: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, kind: str, what: str, number: int) -> None:
        if number:
            of_kind = self.by_kind.setdefault(kind, {})
            of_kind[what] = of_kind.get(what, 0) + number


def write_objects(change: Change, counts: Counts) -> None:
    """Bring back, create and update; what people's Cloud PCs depend on is noted in ``touches``."""
    _restore(change, counts)
    for section in _ORDER:
        _write_kind(change, KINDS[section], counts)
    change.connection.execute(_DISABLED)


def _restore(change: Change, counts: Counts) -> None:
    back = change.connection.execute(_RESTORE, {"tenant": change.tenant.id}).all()
    if not back:
        return
    events = [event(r.id, r.user_principal_name, {"deleted": True}, {"deleted": False}) for r in back]
    change.audit("Restore user", "user", events)
    counts.add("users", "restore", len(back))
    insert = text(
        "INSERT INTO touches (user_id, gain, position, activity, object) "
        "SELECT u.id, true, 0, 'User restored', u.user_principal_name FROM users u WHERE u.id = ANY(:ids)"
    )
    change.connection.execute(insert, {"ids": [r.id for r in back]})


def _write_kind(change: Change, kind: Kind, counts: Counts) -> None:
    connection, of = change.connection, {"tenant": change.tenant.id, "kind": kind.section, "actor": change.actor}
    defaults = json.dumps(DEFAULTS.get(kind.section, {}))
    found = connection.execute(text(_compare(kind)), {**of, "defaults": defaults}).rowcount
    if not found:
        return
    analyze(connection, "differences", found)
    created = connection.execute(text(_insert(kind)), of).rowcount
    updated = connection.execute(text(_update(kind)), of).rowcount
    if kind.section == "provisioningPolicies":
        connection.execute(_DISCONNECT)
        connection.execute(_CONNECT, of)
    write_down(change, kind, deleted=False)
    counts.add(kind.section, "create", created)
    counts.add(kind.section, "update", updated)
    analyze(connection, kind.table, created)


def analyze(connection: Connection, table: str, changed: int) -> None:
    """Let the next statements be planned for the table as it is now, not for the empty one it was a moment ago."""
    if changed > _LARGE:
        connection.execute(text(f"ANALYZE {table}"))


def write_down(change: Change, kind: Kind, *, deleted: bool) -> None:
    """Audit the differences of one kind."""
    values = {"tenant": change.tenant.id, "actor": change.actor, "kind": kind.section, "deleted": deleted}
    change.changed += change.connection.execute(
        AUDIT, {**values, "word": kind.word, "type": kind.object_type, "secret": kind.secret}
    ).rowcount


def start_what_can(change: Change) -> None:
    """Serve the queues that this change let move, from their front instead of touching everyone in them (E10)."""
    connection = change.connection
    plans = set(connection.execute(_MORE_SEATS).scalars()) | set(connection.execute(_ELSEWHERE).scalars())
    if plans:
        seats.start_waiting(connection, change.tenant.id, plans)
