"""Writing the differences of lists: members, licences, assignments with their numbers; and who is touched by it."""

from sqlalchemy import text

from deskwright import jobs
from deskwright.document.kinds import RELATIONS, Relation
from deskwright.document.write import Counts, analyze
from deskwright.operations.change import Change
from deskwright.store.touched import RECONCILE

# As in store.touched: a change must not queue behind a hundred thousand runs that wait for their turn.
_PRIORITY = 20


def _of(alias: str, sql: str) -> str:
    """An expression over ``t`` about another alias."""
    return sql.replace("t.", f"{alias}.")


def _compare(r: Relation) -> str:
    owner_key, target_key = _of("o", r.owner.key), _of("x", r.target.key)
    owner_name = _of("o", r.owner.name)
    owner = f"o.tenant_id = :tenant AND {_of('o', r.owner.live)} AND {owner_key}"
    target = f"x.tenant_id = :tenant AND {_of('x', r.target.live)} AND {target_key}"
    return f"""
    INSERT INTO edges (relation, owner_id, target_id, added, position, number, owner_name)
    SELECT :relation, o.id, x.id, true, min(r.position), min(r.number), {owner_name}
      FROM staged_references r JOIN {r.owner.table} o ON {owner} = r.owner JOIN {r.target.table} x ON {target} = r.key
     WHERE r.relation = :relation
       AND NOT EXISTS (SELECT 1 FROM {r.table} e WHERE e.{r.owner_column} = o.id AND e.{r.target_column} = x.id)
     GROUP BY o.id, x.id, {owner_name}
    UNION ALL
    SELECT :relation, o.id, x.id, false, 0, {"e.number" if r.name == "policyAssignments" else "NULL"}, {owner_name}
      FROM (SELECT DISTINCT owner FROM staged_lists WHERE relation = :relation) l
      JOIN {r.owner.table} o ON {owner} = l.owner JOIN {r.table} e ON e.{r.owner_column} = o.id
      JOIN {r.target.table} x ON x.id = e.{r.target_column} AND {_of("x", r.target.live)}
     WHERE NOT EXISTS (SELECT 1 FROM staged_references r WHERE r.relation = :relation AND r.owner = l.owner
       AND r.key = {target_key})
    """


def _remove(r: Relation) -> str:
    return f"""
    DELETE FROM {r.table} e USING edges d
     WHERE d.relation = :relation AND NOT d.added AND e.{r.owner_column} = d.owner_id
       AND e.{r.target_column} = d.target_id
    """


def _add(r: Relation) -> str:
    number = r.name == "policyAssignments"
    return f"""
    INSERT INTO {r.table} ({r.owner_column}, {r.target_column}, tenant_id{", number" if number else ""})
    SELECT d.owner_id, d.target_id, :tenant{", d.number" if number else ""} FROM edges d
     WHERE d.relation = :relation AND d.added ORDER BY d.position
    """


def _audit(r: Relation) -> str:
    """Of people and licences what came and went; of assignments the whole list before and after, so that the previous
    one can be put back (R13)."""
    if r.property == "assignments":
        return _audit_whole(r)
    name = _of("x", r.target.name)
    listed = f"jsonb_build_object('{r.property}', jsonb_agg({name} ORDER BY d.position, {name}))"
    return f"""
    INSERT INTO audit_events (tenant_id, at, actor, activity, object_type, object_id, object_name, before, after)
    SELECT :tenant, tenant_now(:tenant), :actor, CASE WHEN d.added THEN :adding
      ELSE :removing END, :type, d.owner_id::text,
           d.owner_name, CASE WHEN d.added THEN NULL ELSE {listed} END, CASE WHEN d.added THEN {listed} END
      FROM edges d JOIN {r.target.table} x ON x.id = d.target_id WHERE d.relation = :relation
     GROUP BY d.owner_id, d.owner_name, d.added ORDER BY d.added, min(d.position)
    """


def _audit_whole(r: Relation) -> str:
    number = ", 'number', e.number" if r.name == "policyAssignments" else ""
    order = "e.number" if number else "lower(g.display_name)"
    listed = f"""jsonb_build_object('assignments', COALESCE((SELECT jsonb_agg(jsonb_build_object(
        'groupId', g.id, 'groupDisplayName', g.display_name{number}) ORDER BY {order}) FROM (%s) e
        JOIN groups g ON g.id = e.group_id), '[]'))"""
    columns = "group_id, number" if number else "group_id"
    of_edges = "target_id, number" if number else "target_id"
    now = f"SELECT {columns} FROM {r.table} WHERE {r.owner_column} = d.owner_id"
    changed = "SELECT {columns} FROM edges WHERE relation = :relation AND owner_id = d.owner_id AND {which} added"
    added = changed.format(columns="target_id", which="")
    gone = changed.format(columns=of_edges, which="NOT")
    before = f"{now} AND NOT EXISTS ({added} AND target_id = group_id) UNION ALL {gone}"
    return f"""
    INSERT INTO audit_events (tenant_id, at, actor, activity, object_type, object_id, object_name, before, after)
    SELECT :tenant, tenant_now(:tenant), :actor, :adding, :type, d.owner_id::text, d.owner_name,
      {listed % before}, {listed % now}
      FROM (SELECT owner_id, owner_name, min(position) AS position FROM edges
        WHERE relation = :relation GROUP BY 1, 2) d
     ORDER BY d.position
    """


# E4: those without a number are numbered in the order of the document, from where the tenant has counted to.
_NUMBER = text(
    """
    UPDATE edges e SET number = n.number FROM (
      SELECT owner_id, target_id, row_number() OVER (ORDER BY position) + GREATEST(
               (SELECT assignments_made FROM tenants WHERE id = :tenant),
               (SELECT max(number) FROM edges WHERE relation = 'policyAssignments' AND added)) AS number
        FROM edges WHERE relation = 'policyAssignments' AND added AND number IS NULL) n
     WHERE e.relation = 'policyAssignments' AND e.owner_id = n.owner_id AND e.target_id = n.target_id
    """
)
_COUNT_ON = text(
    """
    UPDATE tenants SET assignments_made = n.largest
      FROM (SELECT max(number) AS largest FROM edges WHERE relation = 'policyAssignments' AND added) n
     WHERE id = :tenant AND assignments_made < n.largest
    """
)
_TOUCH_USERS = text(
    """
    INSERT INTO touches (user_id, gain, position, activity, object)
    SELECT target_id, added, position, CASE WHEN added THEN :added ELSE :removed END, owner_name
      FROM edges WHERE relation = :relation
    """
)
# A group makes a difference to people's Cloud PCs if it gives, or until now gave, a licence or a policy.
_TOUCH_MEMBERS_OF_GIVING = text(
    """
    WITH giving AS MATERIALIZED (
      SELECT group_id FROM license_groups WHERE tenant_id = :tenant UNION
      SELECT group_id FROM policy_assignments WHERE tenant_id = :tenant UNION
      SELECT target_id FROM edges WHERE relation IN ('licenseGroups', 'policyAssignments') AND NOT added)
    INSERT INTO touches (user_id, gain, position, activity, object)
    SELECT e.target_id, e.added, e.position, CASE WHEN e.added THEN :added ELSE :removed END, e.owner_name
      FROM edges e JOIN giving g ON g.group_id = e.owner_id WHERE e.relation = :relation
    """
)
_TOUCH_THROUGH_GROUP = text(
    """
    INSERT INTO touches (user_id, gain, position, activity, object)
    SELECT m.user_id, e.added, e.position, CASE WHEN e.added THEN :added ELSE :removed END, e.owner_name
      FROM edges e JOIN memberships m ON m.group_id = e.target_id WHERE e.relation = :relation
    """
)
# One row for each person: a loss explains more than a gain. In the order of the document, then of coming, which is
# the queue's (E6).
_MARK = text(
    """
    INSERT INTO touched_users (tenant_id, user_id, cause)
    SELECT :tenant, t.user_id, jsonb_build_object('actor', CAST(:actor AS text), 'activity', t.activity,
      'object', t.object)
      FROM (SELECT DISTINCT ON (user_id) * FROM touches ORDER BY user_id, gain, position) t
      JOIN users u ON u.id = t.user_id AND u.tenant_id = :tenant
      LEFT JOIN staged s ON s.kind = 'users' AND s.key = lower(u.user_principal_name)
     ORDER BY s.position NULLS LAST, u.created_at, u.user_principal_name
    """
)


def write_lists(change: Change, counts: Counts) -> None:
    connection = change.connection
    for r in RELATIONS.values():
        of = {"tenant": change.tenant.id, "relation": r.name}
        found = connection.execute(text(_compare(r)), of).rowcount
        if not found:
            continue
        analyze(connection, "edges", found)
        removed = connection.execute(text(_remove(r)), of).rowcount
        if r.name == "policyAssignments":
            connection.execute(_NUMBER, of)
            connection.execute(_COUNT_ON, of)
        added = connection.execute(text(_add(r)), of).rowcount
        values = {**of, "actor": change.actor, "adding": r.adding, "removing": r.removing, "type": r.owner.object_type}
        change.changed += connection.execute(text(_audit(r)), values).rowcount
        counts.add(r.name, "add", added)
        counts.add(r.name, "remove", removed)
        analyze(connection, r.table, found)
    _touch(change)


def _touch(change: Change) -> None:
    """After all lists are written: what a group gives, and who is in it, is seen as it is now."""
    for r in RELATIONS.values():
        if r.added is None:
            continue
        values = {"relation": r.name, "tenant": change.tenant.id, "added": r.added, "removed": r.removed}
        statement = _TOUCH_THROUGH_GROUP if r.gives else _TOUCH_USERS
        change.connection.execute(_TOUCH_MEMBERS_OF_GIVING if r.name == "members" else statement, values)


def mark_touched(change: Change) -> int:
    """Everyone noted in ``touches``, once, for reconcile; returns how many."""
    marked = change.connection.execute(_MARK, {"tenant": change.tenant.id, "actor": change.actor}).rowcount
    if marked:
        jobs.defer(change.connection, RECONCILE, [change.tenant.id], priority=_PRIORITY)
    return marked
