"""What a document does not name: with ``--prune`` it goes, in every section that is written.

Who comes from a domain is the domain's, and a domain that goes leaves them behind as the tenant's own. A section that
is not written at all is left alone: a document about policies only does not delete the people. Users are
deleted softly, as by hand. A policy loses its assignments with it; what Cloud PCs, policies or their history still
need is refused (E9), or stays and is said so.
"""

from collections.abc import Iterator, Mapping

from sqlalchemy import text

from deskwright.document.kinds import KINDS, Kind
from deskwright.document.problems import Problems
from deskwright.document.write import Counts, write_down
from deskwright.operations.change import Change

_UNNAMED = """
    INSERT INTO differences (kind, position, line, id, name, before)
    SELECT :kind, 0, 0, t.id, {name}, {document} FROM {table} t
     WHERE t.tenant_id = :tenant AND {live} AND {own} AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.kind = :kind
       AND s.key = {key})
"""
_DELETED = "SELECT id FROM differences WHERE kind = :kind AND after IS NULL"
_TOUCH = {
    "users": "SELECT d.id AS user_id, d.name FROM differences d WHERE d.kind = 'users' AND d.after IS NULL",
    "groups": """SELECT m.user_id, d.name FROM differences d JOIN memberships m ON m.group_id = d.id
      WHERE d.kind = 'groups' AND d.after IS NULL AND (EXISTS (SELECT 1 FROM license_groups l WHERE l.group_id = d.id)
        OR EXISTS (SELECT 1 FROM policy_assignments a WHERE a.group_id = d.id))""",
    "provisioningPolicies": """SELECT m.user_id, d.name FROM differences d
      JOIN policy_assignments a ON a.policy_id = d.id
      JOIN memberships m ON m.group_id = a.group_id WHERE d.kind = 'provisioningPolicies' AND d.after IS NULL""",
}
# What goes with an object is written down with it, so that it can be put back (R13).
_WITH_IT = {
    "groups": """jsonb_build_object('members', (SELECT
      COALESCE(jsonb_agg(u.user_principal_name ORDER BY u.user_principal_name), '[]')
      FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.group_id = d.id))""",
    "provisioningPolicies": """jsonb_build_object('assignments', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
      'groupId', g.id, 'groupDisplayName', g.display_name, 'number', a.number) ORDER BY a.number), '[]')
        FROM policy_assignments a
      JOIN groups g ON g.id = a.group_id WHERE a.policy_id = d.id))""",
    "userSettings": """jsonb_build_object('assignments', (SELECT
      COALESCE(jsonb_agg(g.display_name ORDER BY g.display_name), '[]')
      FROM user_setting_assignments a JOIN groups g ON g.id = a.group_id WHERE a.setting_id = d.id))""",
}
# Rows (name, why) of what must not go, and rows (id, name) of what can only stay.
_REFUSED = {
    "onPremisesConnections": """
      SELECT d.name, 'policy ' || p.display_name AS why FROM policy_connections pc
        JOIN differences d ON d.id = pc.connection_id
        JOIN policies p ON p.id = pc.policy_id WHERE d.kind = :kind AND d.after IS NULL
      UNION SELECT d.name, 'Cloud PCs' FROM cloud_pcs c JOIN differences d ON d.id = c.connection_id
       WHERE d.kind = :kind AND d.after IS NULL AND c.status <> 'gone'
      UNION SELECT d.name, 'computer accounts that are disabled by its join account'
        FROM activedirectory.computer_accounts a JOIN differences d ON d.id = a.connection_id
       WHERE d.kind = :kind AND d.after IS NULL AND a.released_at IS NULL
      UNION SELECT d.name, 'Cloud PCs being provisioned' FROM differences d
        JOIN runs r ON r.tenant_id = :tenant AND r.state = 'active'
         AND r.policy->'connections' @> to_jsonb(d.id::text) WHERE d.kind = :kind AND d.after IS NULL""",
    "deviceImages": """
      SELECT d.name, 'policy ' || p.display_name AS why FROM differences d JOIN policies p ON p.tenant_id = :tenant
         AND p.image_type = 'custom' AND lower(p.device_image) = lower(d.before->>'displayName')
       WHERE d.kind = :kind AND d.after IS NULL AND NOT EXISTS (
         SELECT 1 FROM device_images o JOIN device_images i ON i.id = d.id AND i.site_id = o.site_id
          WHERE o.tenant_id = :tenant AND lower(o.display_name) = lower(d.before->>'displayName')
            AND NOT EXISTS (SELECT 1 FROM differences g WHERE g.id = o.id AND g.after IS NULL))
      UNION SELECT d.name, 'Cloud PCs' FROM differences d JOIN cloud_pcs c ON c.tenant_id = :tenant
        AND c.device_image_id = d.id
       WHERE d.kind = :kind AND d.after IS NULL AND c.status <> 'gone'""",
    "sites": """
      SELECT d.name, 'connection ' || k.display_name AS why FROM connections k JOIN differences d ON d.id = k.site_id
       WHERE d.kind = :kind AND d.after IS NULL
      UNION SELECT d.name, 'image ' || i.display_name FROM device_images i JOIN differences d ON d.id = i.site_id
       WHERE d.kind = :kind AND d.after IS NULL
      UNION SELECT d.name, 'Cloud PCs' FROM cloud_pcs c JOIN differences d ON d.id = c.site_id
       WHERE d.kind = :kind AND d.after IS NULL AND c.status <> 'gone'""",
    "servicePlans": """
      SELECT d.name, 'Cloud PCs' AS why FROM differences d WHERE d.kind = :kind AND d.after IS NULL AND EXISTS (
        SELECT 1 FROM cloud_pcs c WHERE c.plan_id = d.id AND c.status NOT IN ('gone', 'notProvisioned',
          'pendingProvision'))
      UNION SELECT d.name, 'licences' FROM differences d WHERE d.kind = :kind AND d.after IS NULL AND (
        EXISTS (SELECT 1 FROM license_users l WHERE l.plan_id = d.id) OR EXISTS (SELECT 1
          FROM license_groups l WHERE l.plan_id = d.id))""",
}
_KEPT = {
    "sites": """SELECT d.id, d.name FROM differences d WHERE d.kind = :kind AND d.after IS NULL AND (
      EXISTS (SELECT 1 FROM ledger l WHERE l.site_id = d.id) OR EXISTS (SELECT 1 FROM cloud_pcs c
        WHERE c.site_id = d.id))""",
    "servicePlans": """SELECT d.id, d.name FROM differences d WHERE d.kind = :kind AND d.after IS NULL AND EXISTS (
      SELECT 1 FROM cloud_pcs c WHERE c.plan_id = d.id)""",
}
_FIRST = {
    "provisioningPolicies": ("DELETE FROM policy_assignments WHERE policy_id IN ({deleted})",),
    "onPremisesConnections": (
        "UPDATE cloud_pcs SET connection_id = NULL WHERE status = 'gone' AND connection_id IN ({deleted})",
    ),
}


def prune_people_and_policies(change: Change, written: Mapping[str, int], counts: Counts) -> None:
    """Before the lists are compared: whoever goes here is no longer in any."""
    for section in (
        "users",
        "roleGroups",
        "groups",
        "userSettings",
        "provisioningPolicies",
        "identityProviders",
        "domains",
    ):
        if section in written:
            _find(change, KINDS[section])
            _delete(change, KINDS[section], counts)


def empty_unnamed_licences(change: Change, written: Mapping[str, int]) -> None:
    """A plan without an entry is a plan without licences."""
    if "licenses" in written:
        query = """INSERT INTO staged_lists SELECT r, lower(p.display_name) FROM service_plans p,
            unnest(ARRAY['licenseUsers', 'licenseGroups']) r WHERE p.tenant_id = :tenant"""
        change.connection.execute(text(query), {"tenant": change.tenant.id})


def prune_the_rest(change: Change, written: Mapping[str, int], counts: Counts, problems: Problems) -> list[str]:
    """After the lists and policies are written: what still is in use is a problem, what has a history stays."""
    notes: list[str] = []
    for section in ("servicePlans", "onPremisesConnections", "deviceImages", "sites"):
        if section not in written:
            continue
        kind = KINDS[section]
        _find(change, kind)
        if _refuse(change, kind, written[section], problems):
            continue
        notes.extend(_keep(change, kind))
        _delete(change, kind, counts)
    return notes


def _find(change: Change, kind: Kind) -> None:
    query = _UNNAMED.format(
        name=kind.name, document=kind.document, table=kind.table, live=kind.live, own=kind.own, key=kind.key
    )
    change.connection.execute(text(query), {"tenant": change.tenant.id, "kind": kind.section})


def _delete(change: Change, kind: Kind, counts: Counts) -> None:
    connection, of = change.connection, {"kind": kind.section, "tenant": change.tenant.id}
    if kind.section in _TOUCH:
        happened = "User deleted" if kind.section == "users" else f"{kind.word.capitalize()} deleted"
        touch = f"""INSERT INTO touches (user_id, gain, position, activity, object)
            SELECT x.user_id, false, 0, :happened, x.name FROM ({_TOUCH[kind.section]}) x"""
        connection.execute(text(touch), {"happened": happened})
    if kind.section in _WITH_IT:
        also = f"""UPDATE differences d SET before = before || {_WITH_IT[kind.section]}
            WHERE d.kind = :kind AND d.after IS NULL"""
        connection.execute(text(also), of)
    for statement in _FIRST.get(kind.section, ()):
        connection.execute(text(statement.format(deleted=_DELETED)), of)
    if kind.section == "users":
        gone = f"UPDATE users SET deleted_at = tenant_now(:tenant) WHERE id IN ({_DELETED})"
    else:
        gone = f"DELETE FROM {kind.table} WHERE tenant_id = :tenant AND id IN ({_DELETED})"
    deleted = connection.execute(text(gone), of).rowcount
    if deleted:
        write_down(change, kind, deleted=True)
        counts.add(kind.section, "delete", deleted)


def _refuse(change: Change, kind: Kind, line: int, problems: Problems) -> bool:
    of = {"kind": kind.section, "tenant": change.tenant.id}
    users: dict[str, list[str]] = {}
    for row in change.connection.execute(text(_REFUSED[kind.section] + " ORDER BY 1, 2"), of):
        users.setdefault(row.name, []).append(row.why)
    for name, why in users.items():
        rule = f"the {kind.word} is not named and would be deleted, but is used: {', '.join(why)}"
        problems.add(line, kind.section, name, rule)
    return bool(users)


def _keep(change: Change, kind: Kind) -> Iterator[str]:
    if kind.section not in _KEPT:
        return
    of = {"kind": kind.section, "tenant": change.tenant.id}
    kept = change.connection.execute(text(_KEPT[kind.section]), of).all()
    forget = text("DELETE FROM differences WHERE kind = :kind AND after IS NULL AND id = ANY(:ids)")
    change.connection.execute(forget, {**of, "ids": [row.id for row in kept]})
    for row in kept:
        yield f"The {kind.word} {row.name} is not named but stays: the timelines of former Cloud PCs refer to it."
