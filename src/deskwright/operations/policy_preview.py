"""What saving a policy or its assignments would do, before anything happens (R3, R4).

The change is really made inside its transaction, its verdicts are taken (those that reconcile would act on), and it is
taken back. Who is counted is counted in full; who is named are the first LISTED.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from deskwright.decide.verdict import Action, Candidate, Verdict, Waiting
from deskwright.domain.status import Status
from deskwright.operations import assignments, forecast, policies
from deskwright.operations.change import Change, TenantRef
from deskwright.operations.forecast import Addresses, Ground, Room, Seats
from deskwright.operations.named import Item
from deskwright.provision.context import World

LISTED = 50
_STARTS = (Action.CREATE, Action.QUEUE)
_LOSES: Mapping[Action, str] = {
    Action.ENTER_GRACE: "goes into the grace period",
    Action.GRACE_LATER: "goes into the grace period when its remote action ends",
    Action.STOP: "is being made: that stops, and what was made is cleaned up",
    Action.REMOVE: "has failed: it is removed",
}
_NAMES = text(
    """
    SELECT id, user_principal_name AS name FROM users WHERE id = ANY(:users)
    UNION ALL SELECT id, display_name FROM service_plans WHERE id = ANY(:plans)
    """
)
_UNLICENSED = """
      FROM users u WHERE u.tenant_id = :tenant AND u.deleted_at IS NULL
       AND u.id IN (SELECT m.user_id FROM memberships m JOIN policy_assignments a ON a.group_id = m.group_id
                     WHERE a.policy_id = :policy)
       AND u.id NOT IN (SELECT user_id FROM license_users WHERE tenant_id = :tenant)
       AND u.id NOT IN (SELECT m.user_id FROM memberships m JOIN license_groups l ON l.group_id = m.group_id
                         WHERE l.tenant_id = :tenant)
"""
_UNLICENSED_COUNT = text(f"SELECT count(*) {_UNLICENSED}")
_UNLICENSED_NAMES = text(f"SELECT u.id, u.user_principal_name {_UNLICENSED} ORDER BY 2 LIMIT :limit")
_EXISTING = text(
    "SELECT count(*) FROM cloud_pcs WHERE policy_id = :policy "
    "AND status NOT IN ('gone', 'notProvisioned', 'pendingProvision')"
)


@dataclass(frozen=True)
class Person:
    user_id: str
    user_principal_name: str
    plan: str = ""
    note: str = ""


@dataclass
class People:
    """So many, of whom the first are named."""

    count: int = 0
    named: list[Person] = field(default_factory=list)


@dataclass
class Preview:
    """What a change of a policy would do."""

    policy: Item
    """As it would be."""
    reached: int = 0
    """People whom the change touches."""
    gets: People = field(default_factory=People)
    """Cloud PCs that become due."""
    by_plan: list[tuple[str, int]] = field(default_factory=list)
    """The same by plan."""
    loses: People = field(default_factory=People)
    """Cloud PCs that go (E8), with how."""
    returns: People = field(default_factory=People)
    """Cloud PCs that come back from grace, untouched."""
    elsewhere: People = field(default_factory=People)
    """Licensed people whom it reaches, and another policy that was assigned earlier too: that one wins (E4)."""
    wins: People = field(default_factory=People)
    """Licensed people whom other policies reach too, and this one wins."""
    stays: People = field(default_factory=People)
    """Cloud PCs of people it reaches which are there already and stay as they are."""
    waits: People = field(default_factory=People)
    """Cloud PCs that wait in the queue, and will be made by the policy as it is then."""
    unqueued: People = field(default_factory=People)
    """Those that leave the queue."""
    disabled: People = field(default_factory=People)
    """People who get theirs once their account is enabled."""
    unlicensed: People = field(default_factory=People)
    """People in its groups without a licence: they get nothing (E5)."""
    existing: int = 0
    """Cloud PCs that were made, or are being made, by this policy before: an edit does not touch them (E7)."""
    changed: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Of an edit: property, before, after."""
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Of assignments: names of groups."""
    seats: list[Seats] = field(default_factory=list)
    addresses: list[Addresses] = field(default_factory=list)
    room: list[Room] = field(default_factory=list)


def of_create(world: World, tenant: TenantRef, actor: str, **settings: Any) -> Preview:
    """Of `policies.create` with these arguments. Raises Refused as that does."""
    looked = _Looked(tenant)
    made = policies.create(world.database, tenant, actor, look=looked, **settings)
    return looked.preview(world, made, None)


def of_edit(world: World, tenant: TenantRef, actor: str, policy: str, **settings: Any) -> Preview:
    """Of `policies.set_` with these arguments. Raises Refused as that does."""
    before = policies.show(world.database, tenant, policy)
    looked = _Looked(tenant)
    after = policies.set_(world.database, tenant, actor, policy, look=looked, **settings)
    return looked.preview(world, after, before)


def of_assignments(world: World, tenant: TenantRef, actor: str, policy: str, groups: Sequence[str]) -> Preview:
    """Of `assignments.set_assignments`. Raises Refused as that does."""
    before = policies.show(world.database, tenant, policy)
    looked = _Looked(tenant)
    after = assignments.set_assignments(world.database, tenant, actor, policy, groups, look=looked)
    return looked.preview(world, after, before)


def of_restore(world: World, tenant: TenantRef, actor: str, policy: str, event: int) -> Preview:
    """Of `assignments.restore`. Raises Refused as that does."""
    before = policies.show(world.database, tenant, policy)
    looked = _Looked(tenant)
    after = assignments.restore(world.database, tenant, actor, policy, event, look=looked)
    return looked.preview(world, after, before)


class _Looked:
    """Looks at an open change of a policy; what it has seen outlives the change."""

    def __init__(self, tenant: TenantRef) -> None:
        self._tenant = tenant
        self._kept: list[tuple[People, Verdict, str]] = []
        self._new: Counter[UUID] = Counter()
        self._leaving: Counter[UUID] = Counter()
        self._found = Preview({})
        self._demand = 0
        self._ground = Ground((), (), ())
        self._names: dict[UUID, str] = {}

    def __call__(self, opened: Change, policy: UUID) -> None:
        last: UUID | None = None
        for verdict in opened.verdicts():
            self._take(verdict, policy, first=verdict.user_id != last)
            last = verdict.user_id
        found, of = self._found, {"tenant": self._tenant.id, "policy": policy}
        found.reached = len(opened.touched())
        found.existing = opened.connection.execute(_EXISTING, of).scalar_one()
        found.unlicensed.count = opened.connection.execute(_UNLICENSED_COUNT, of).scalar_one()
        if found.unlicensed.count:
            rows = opened.connection.execute(_UNLICENSED_NAMES, {**of, "limit": LISTED})
            found.unlicensed.named = [Person(str(row.id), row.user_principal_name) for row in rows]
        wanted = [plan for plan, n in (self._new + self._leaving).items() if n]
        self._ground = forecast.ground(opened.connection, self._tenant, policy, wanted)
        ids = {
            "users": list({v.user_id for _, v, _ in self._kept}),
            "plans": list({v.plan_id for _, v, _ in self._kept} | self._new.keys()),
        }
        self._names = {row.id: row.name for row in opened.connection.execute(_NAMES, ids)}

    def preview(self, world: World, after: Item, before: Item | None) -> Preview:
        """What was seen, and what the providers say to it; the change is over by now."""
        found = self._found
        found.policy = after
        for people, v, note in self._kept:
            name, plan = self._names.get(v.user_id, ""), self._names.get(v.plan_id, "")
            people.named.append(Person(str(v.user_id), name, plan, note))
        found.by_plan = sorted((self._names.get(plan, ""), n) for plan, n in self._new.items())
        found.seats = forecast.seats(self._ground, self._new, self._leaving)
        found.addresses = forecast.addresses(world.database, self._tenant, self._ground, self._demand)
        found.room = forecast.room(world.database, self._tenant, self._ground, self._new)
        if before is not None:
            found.changed = list(_differences(before, after))
        had = [a["groupDisplayName"] for a in before["assignments"]] if before else []
        has = [a["groupDisplayName"] for a in after["assignments"]]
        found.added, found.removed = [g for g in has if g not in had], [g for g in had if g not in has]
        return found

    def _take(self, v: Verdict, policy: UUID, *, first: bool) -> None:
        mine = v.policy is not None and v.policy.policy_id == policy
        ours = next((c for c in v.ignored if c.policy_id == policy), None)
        if v.action in _STARTS:
            self._new[v.plan_id] += 1
            self._demand += mine
            self._add(self._found.gets, v, "" if mine or v.policy is None else f"by {v.policy.policy_name}")
        elif v.loses:
            self._add(self._found.loses, v, _LOSES[v.action])
        elif v.action is Action.LEAVE_GRACE:
            self._add(self._found.returns, v, "")
        elif v.action in (Action.UNQUEUE, Action.REMOVE):
            self._leaving[v.plan_id] += v.status is Status.PENDING
            self._add(self._found.unqueued, v, "")
        elif v.waiting_for is Waiting.ACCOUNT_DISABLED:
            self._add(self._found.disabled, v, "")
        elif v.status is Status.PENDING:
            self._demand += mine
            self._add(self._found.waits, v, f"by {v.policy.policy_name}" if v.policy and not mine else "")
        elif mine and v.status is not None:
            self._add(self._found.stays, v, "")
        if first and ours and v.policy:
            self._add(self._found.elsewhere, v, _first(v.policy, ours))
        elif first and mine and v.ignored:
            self._add(self._found.wins, v, f"also reached by {', '.join(c.policy_name for c in v.ignored)}")

    def _add(self, people: People, verdict: Verdict, note: str) -> None:
        people.count += 1
        if people.count <= LISTED:
            self._kept.append((people, verdict, note))


def _first(winner: Candidate, ours: Candidate) -> str:
    return (
        f"{winner.policy_name} wins: assigned to {winner.group_name} first "
        f"(number {winner.number}, this one has {ours.number})"
    )


def _differences(before: Item, after: Item) -> Iterable[tuple[str, Any, Any]]:
    apart = ("assignments", "revision", "lastModifiedDateTime", "keptProperties")
    for name in after:
        if name not in apart and before.get(name) != after[name]:
            yield name, before.get(name), after[name]
