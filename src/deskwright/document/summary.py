"""What would become of people's Cloud PCs: the verdicts of everyone the change touches, and a forecast (R4)."""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import text

from deskwright.decide.verdict import Action, Candidate, Verdict
from deskwright.document.kinds import KINDS, RELATIONS
from deskwright.document.result import LISTED, Brake, PlanResult
from deskwright.document.stage import Progress
from deskwright.domain.rules import ConfirmationRequired
from deskwright.operations.change import Change, brake
from deskwright.providers.contract import Network
from deskwright.providers.registry import Site, providers_for
from deskwright.provision.context import World

_OBJECTS = text(
    f"""
    SELECT kind, name, CASE WHEN before IS NULL THEN 'create' WHEN after IS NULL THEN 'delete'
      ELSE 'update' END AS what,
           ARRAY(SELECT k FROM jsonb_object_keys(after) k WHERE before IS NOT NULL
             AND before->k IS DISTINCT FROM after->k) AS fields,
           secret IS NOT NULL AND before IS NOT NULL AS secret
      FROM (SELECT *, row_number() OVER (PARTITION BY kind
              ORDER BY before IS NOT NULL AND after IS NULL, position) AS nth FROM differences) numbered
     WHERE nth <= {LISTED // 10} ORDER BY (kind = 'users'), kind, nth
    """
)
_LISTS = text(
    f"""
    SELECT * FROM (
      SELECT relation, owner_id, owner_name, added, count(*) AS number,
             (array_agg(target_id ORDER BY position))[1:5] AS examples,
             row_number() OVER (PARTITION BY relation ORDER BY min(position)) AS nth
        FROM edges GROUP BY 1, 2, 3, 4) numbered
     WHERE nth <= {LISTED // 10} ORDER BY relation, nth
    """
)
_PLANS = text(
    """
    SELECT p.id, p.display_name, p.seats, p.seats_used,
           (SELECT count(*) FROM cloud_pcs c WHERE c.plan_id = p.id AND c.status = 'pendingProvision') AS pending
      FROM service_plans p WHERE p.tenant_id = :tenant AND (p.id = ANY(:plans) OR p.seats < p.seats_used
           OR EXISTS (SELECT 1 FROM differences d WHERE d.id = p.id)) ORDER BY p.display_name
    """
)
# A policy uses its first healthy connection; one that has not been checked yet may turn out to be.
_CONNECTIONS = text(
    """
    SELECT DISTINCT ON (pc.policy_id) pc.policy_id, k.id, k.display_name, k.network, k.subnet, k.health_status,
           s.id AS site_id, s.name AS site, s.compute, s.directory, s.management
      FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id JOIN sites s ON s.id = k.site_id
     WHERE pc.tenant_id = :tenant AND pc.policy_id = ANY(:policies)
     ORDER BY pc.policy_id, k.health_status = 'failed', pc.position
    """
)
_STARTS = (Action.CREATE, Action.QUEUE)
_ADDRESSES_EACH = 3
"""One for each attempt: a failed one's stays taken until its clean-up."""


def summarise(world: World, change: Change, result: PlanResult, progress: Progress) -> None:
    result.changes = _changes(change)
    actions: Counter[str] = Counter()
    new: Counter[UUID] = Counter()
    by_policy: Counter[UUID] = Counter()
    kept: list[Verdict] = []
    overlapping: dict[UUID, Verdict] = {}
    last: UUID | None = None
    users = 0
    for verdict in change.verdicts():
        if verdict.user_id != last:
            last, users = verdict.user_id, users + 1
            if users % 1000 == 0:
                progress("deciding", users, result.touched)
            if verdict.ignored:
                result.overlaps += 1
                if len(overlapping) < LISTED:
                    overlapping[verdict.user_id] = verdict
        actions[verdict.action.value] += 1
        if verdict.action in _STARTS:
            new[verdict.plan_id] += 1
            if verdict.policy:
                by_policy[verdict.policy.policy_id] += 1
        if verdict.action is not Action.NOTHING:
            _keep(kept, verdict)
    result.actions = {a.value: actions[a.value] for a in Action if actions[a.value]}
    names = _names(change, [*kept, *overlapping.values()])
    result.verdicts = [_shown(v, names) for v in kept]
    result.overlapping = [_overlap(v, names) for v in overlapping.values()]
    result.seats = _seats(change, new)
    result.addresses = list(_addresses(world, change, by_policy))
    result.brake = _ask_brake(change)


def _keep(kept: list[Verdict], verdict: Verdict) -> None:
    """The first ones; whoever loses a Cloud PC is listed even when there are many new ones."""
    if len(kept) < LISTED:
        kept.append(verdict)
    elif verdict.loses:
        for index in range(len(kept) - 1, -1, -1):
            if not kept[index].loses:
                kept[index] = verdict
                return


def _changes(change: Change) -> list[dict[str, Any]]:
    found = []
    for row in change.connection.execute(_OBJECTS):
        fields = [*row.fields, *([KINDS[row.kind].secret] if row.secret else [])]
        found.append(
            {"kind": row.kind, "name": row.name, "change": row.what} | ({"properties": fields} if fields else {})
        )
    for row in change.connection.execute(_LISTS):
        relation = RELATIONS[row.relation]
        target = relation.target
        query = text(f"SELECT {target.name} FROM {target.table} t WHERE t.id = ANY(:ids) ORDER BY 1")
        names = list(change.connection.execute(query, {"ids": row.examples}).scalars())
        found.append(
            {
                "kind": relation.owner.section,
                "name": row.owner_name,
                "change": "add" if row.added else "remove",
                "list": relation.property,
                "count": row.number,
                "examples": names,
            }
        )
    return found


def _names(change: Change, verdicts: Iterable[Verdict]) -> dict[UUID, str]:
    users, plans = set(), set()
    for verdict in verdicts:
        users.add(verdict.user_id)
        plans.add(verdict.plan_id)
    query = text(
        "SELECT id, user_principal_name AS name FROM users WHERE id = ANY(:users) "
        "UNION ALL SELECT id, display_name FROM service_plans WHERE id = ANY(:plans)"
    )
    return {row.id: row.name for row in change.connection.execute(query, {"users": list(users), "plans": list(plans)})}


def _shown(verdict: Verdict, names: dict[UUID, str]) -> dict[str, Any]:
    return {
        "userPrincipalName": names.get(verdict.user_id, ""),
        "servicePlanName": names.get(verdict.plan_id, ""),
        "action": verdict.action.value,
        "status": verdict.status,
        "provisioningPolicyName": verdict.policy.policy_name if verdict.policy else None,
        "waitingFor": verdict.waiting_for,
        "lost": list(verdict.lost),
        "reasons": list(verdict.reasons),
    }


def _overlap(verdict: Verdict, names: dict[UUID, str]) -> dict[str, Any]:
    def said(candidate: Candidate) -> dict[str, Any]:
        return {
            "provisioningPolicyName": candidate.policy_name,
            "group": candidate.group_name,
            "number": candidate.number,
        }

    winner = said(verdict.policy) if verdict.policy else None
    return {
        "userPrincipalName": names.get(verdict.user_id, ""),
        "winner": winner,
        "ignored": [said(c) for c in verdict.ignored],
    }


def _seats(change: Change, new: Counter[UUID]) -> list[dict[str, Any]]:
    found = []
    for row in change.connection.execute(_PLANS, {"tenant": change.tenant.id, "plans": list(new)}):
        wanted, free = row.pending + new[row.id], max(row.seats - row.seats_used, 0)
        found.append(
            {
                "servicePlanName": row.display_name,
                "seats": row.seats,
                "seatsInUse": row.seats_used,
                "needed": wanted,
                "new": new[row.id],
                "start": min(wanted, free),
                "short": max(wanted - free, 0),
            }
        )
    return found


def _addresses(world: World, change: Change, by_policy: Counter[UUID]) -> Iterable[dict[str, Any]]:
    """For each connection that is going to be used: what its subnet has free, against three for each Cloud PC."""
    demand: Counter[UUID] = Counter()
    rows = {}
    for row in change.connection.execute(_CONNECTIONS, {"tenant": change.tenant.id, "policies": list(by_policy)}):
        demand[row.id] += by_policy[row.policy_id]
        rows[row.id] = row
    for id_, row in rows.items():
        site = Site(change.tenant.id, row.site_id, row.site, row.compute, row.directory, row.management)
        try:
            free: int | None = providers_for(world.database, site).compute.free_addresses(
                Network(id_, row.network, row.subnet)
            )
        except Exception:  # noqa: BLE001 - a forecast that cannot be made must not stop the change
            free = None
        needed = demand[id_] * _ADDRESSES_EACH
        yield {
            "onPremisesConnection": row.display_name,
            "subnetId": row.subnet,
            "healthCheckStatus": row.health_status,
            "cloudPCs": demand[id_],
            "mayNeed": needed,
            "free": free,
            "short": None if free is None else max(needed - free, 0),
        }


def _ask_brake(change: Change) -> Brake:
    try:
        brake(change)
    except ConfirmationRequired as stop:
        return Brake(True, stop.losing, stop.of, stop.who, stop.rule)
    return Brake()
