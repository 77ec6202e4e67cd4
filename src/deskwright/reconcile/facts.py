"""Reading the facts about users that `decide` needs, a set of users at a time."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.decide.entitlement import LiveCloudPc, UserFacts
from deskwright.decide.verdict import Candidate, Waiting
from deskwright.domain.status import Status

_USERS = text(
    "SELECT id, account_enabled, deleted_at IS NULL AS present FROM users "
    "WHERE tenant_id = :tenant AND id = ANY(:users)"
)
_CANDIDATES = text(
    """
    SELECT m.user_id, a.policy_id, p.display_name AS policy, a.number, g.display_name AS group_name
      FROM memberships m JOIN policy_assignments a ON a.group_id = m.group_id
      JOIN policies p ON p.id = a.policy_id JOIN groups g ON g.id = m.group_id WHERE m.user_id = ANY(:users)
    """
)
_LICENCES = text(
    """
    SELECT user_id, plan_id, 'directly' AS source FROM license_users WHERE user_id = ANY(:users)
    UNION ALL
    SELECT m.user_id, l.plan_id, g.display_name FROM memberships m JOIN license_groups l ON l.group_id = m.group_id
      JOIN groups g ON g.id = m.group_id WHERE m.user_id = ANY(:users)
    """
)
_CLOUD_PCS = text(
    "SELECT id, user_id, plan_id, status, policy_id, policy_name, waiting_for, target_plan_id FROM cloud_pcs "
    "WHERE user_id = ANY(:users) AND status <> 'gone'"
)


def load(connection: Connection, tenant: UUID, users: Iterable[UUID]) -> dict[UUID, UserFacts]:
    """The facts about each of `users` that belongs to the tenant; the cost follows their number (E10)."""
    values = {"tenant": tenant, "users": list(users)}
    people = {row.id: row for row in connection.execute(_USERS, values)}
    values["users"] = list(people)

    candidates: dict[UUID, list[Candidate]] = defaultdict(list)
    for row in connection.execute(_CANDIDATES, values):
        candidates[row.user_id].append(Candidate(row.policy_id, row.policy, row.number, row.group_name))
    licences: dict[UUID, dict[UUID, tuple[str, ...]]] = defaultdict(dict)
    for row in connection.execute(_LICENCES, values):
        held = licences[row.user_id]
        held[row.plan_id] = tuple(sorted({*held.get(row.plan_id, ()), row.source}))
    cloud_pcs: dict[UUID, list[LiveCloudPc]] = defaultdict(list)
    for row in connection.execute(_CLOUD_PCS, values):
        waiting = Waiting(row.waiting_for) if row.waiting_for else None
        cloud_pcs[row.user_id].append(
            LiveCloudPc(
                row.id,
                row.plan_id,
                Status(row.status),
                row.policy_id,
                row.policy_name,
                waiting,
                row.target_plan_id,
            )
        )
    return {
        user: UserFacts(
            user_id=user,
            exists=row.present,
            enabled=row.account_enabled,
            candidates=tuple(candidates[user]),
            licences=licences[user],
            cloud_pcs=tuple(cloud_pcs[user]),
        )
        for user, row in people.items()
    }
