"""Whom policies reach: the people in their groups, the Cloud PCs they made, and where several reach the same people.

Each reads as many rows as there are people, which `Database.engine` plans for and `single` does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.status import Status
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item

_STATUSES = text(
    "SELECT policy_id, status, count(*) AS n FROM cloud_pcs WHERE policy_id = ANY(:policies) AND tenant_id = :tenant "
    "AND status <> 'gone' GROUP BY policy_id, status"
)
# A person counts once for each pair of policies, by the earliest assignment of each (E4).
_OVERLAPS = """
    WITH reach AS MATERIALIZED (
      SELECT m.user_id, a.policy_id, min(a.number) AS number
        FROM policy_assignments a JOIN memberships m ON m.group_id = a.group_id
        JOIN users u ON u.id = m.user_id AND u.deleted_at IS NULL
       WHERE a.tenant_id = :tenant {only} GROUP BY m.user_id, a.policy_id)
    SELECT mine.policy_id, other.policy_id AS other_id, p.display_name AS other, count(*) AS people,
           count(*) FILTER (WHERE mine.number < other.number) AS won
      FROM reach mine JOIN reach other ON other.user_id = mine.user_id AND other.policy_id <> mine.policy_id
      JOIN policies p ON p.id = other.policy_id
     WHERE mine.policy_id = ANY(:policies) GROUP BY 1, 2, 3 ORDER BY lower(p.display_name)
"""
_ALL = text(_OVERLAPS.format(only=""))
_OF_ONE = text(
    _OVERLAPS.format(
        only="AND m.user_id IN (SELECT m2.user_id FROM memberships m2 JOIN policy_assignments a2 "
        "ON a2.group_id = m2.group_id WHERE a2.policy_id = ANY(:policies))"
    )
)
_GROUPS = text(
    """
    SELECT g.id, g.display_name, members.n,
           members.licensed,
           ARRAY(SELECT p.display_name FROM license_groups l JOIN service_plans p ON p.id = l.plan_id
                  WHERE l.group_id = g.id ORDER BY lower(p.display_name)) AS plans,
           ARRAY(SELECT p.display_name FROM policy_assignments a JOIN policies p ON p.id = a.policy_id
                  WHERE a.group_id = g.id ORDER BY a.number) AS policies
      FROM groups g CROSS JOIN LATERAL (
        SELECT count(*) AS n, count(*) FILTER (
                 WHERE u.id IN (SELECT user_id FROM license_users WHERE tenant_id = :tenant)
                    OR u.id IN (SELECT lm.user_id FROM memberships lm JOIN license_groups l ON l.group_id = lm.group_id
                                 WHERE l.tenant_id = :tenant)) AS licensed
          FROM memberships m JOIN users u ON u.id = m.user_id AND u.deleted_at IS NULL WHERE m.group_id = g.id) members
     WHERE g.tenant_id = :tenant AND g.id = ANY(:groups)
    """
)


@dataclass(frozen=True)
class Overlap:
    """Two policies that reach some of the same people."""

    policy_id: str
    other_id: str
    other: str
    people: int
    won: int
    """For so many the first of the two was assigned first; for the rest the other was."""

    @property
    def lost(self) -> int:
        return self.people - self.won


def statuses(connection: Connection, tenant: TenantRef, policies: Sequence[str]) -> dict[str, dict[str, int]]:
    """policy -> status -> how many Cloud PCs, in the order of a Cloud PC's life; one query, however many."""
    found: dict[str, dict[str, int]] = {policy: {} for policy in policies}
    rows = connection.execute(_STATUSES, {"tenant": tenant.id, "policies": _ids(policies)})
    counted = {(str(row.policy_id), row.status): row.n for row in rows}
    for policy, of in found.items():
        of.update({s.value: counted[policy, s.value] for s in Status if (policy, s.value) in counted})
    return found


def overlaps(connection: Connection, tenant: TenantRef, policies: Sequence[str]) -> dict[str, list[Overlap]]:
    """policy -> the others that reach people it reaches; one query, however many."""
    found: dict[str, list[Overlap]] = {policy: [] for policy in policies}
    query = _OF_ONE if len(policies) == 1 else _ALL
    for row in connection.execute(query, {"tenant": tenant.id, "policies": _ids(policies)}):
        found[str(row.policy_id)].append(Overlap(str(row.policy_id), str(row.other_id), row.other, row.people, row.won))
    return found


def groups(connection: Connection, tenant: TenantRef, ids: Sequence[str]) -> list[Item]:
    """These groups, in that order: how many people, how many of them licensed, and which policies they have."""
    rows = {str(row.id): row for row in connection.execute(_GROUPS, {"tenant": tenant.id, "groups": _ids(ids)})}
    return [
        {
            "id": id_,
            "displayName": rows[id_].display_name,
            "memberCount": rows[id_].n,
            "licensedCount": rows[id_].licensed,
            "servicePlans": list(rows[id_].plans),
            "provisioningPolicies": list(rows[id_].policies),
        }
        for id_ in ids
        if id_ in rows
    ]


def _ids(given: Sequence[str]) -> list[UUID]:
    return [UUID(id_) for id_ in given]
