"""A small model of SPEC sections 1 to 4, written from their text: who is due a Cloud PC, and what becomes of it.

It knows nothing of how the product works and imports nothing of it. Where SPEC leaves open which of several pairs
goes first, the model takes what the product did and checks that it was allowed to.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.model.runs import FAILED, HANGS, HOUR, PROVISIONED, WAITS, Outside, Run, counted, repaired

GRACE = 7 * 24 * HOUR  # E8
Pair = tuple[str, str]
"""A user and a plan."""

NOT_PROVISIONED, PENDING, PROVISIONING = "notProvisioned", "pendingProvision", "provisioning"
READY, WARNED, FAILS = "provisioned", "provisionedWithWarnings", "failed"
IN_GRACE, LEAVING = "inGracePeriod", "deprovisioning"
WITHOUT_SEAT = {NOT_PROVISIONED, PENDING}  # E6


@dataclass
class User:
    exists: bool = True
    enabled: bool = True


@dataclass
class Policy:
    number: int
    """Its identity: a policy that is deleted and made again is another one."""
    name: str
    connections: tuple[str, ...]
    assigned: dict[str, int] = field(default_factory=dict)
    """Group -> the tenant's number of that assignment (E4)."""


@dataclass
class CloudPc:
    status: str
    policy: int | None = None
    since: tuple[float, float] = (0, 0)
    """When the pair became due: not before, not after (E6)."""
    grace_ends: int = 0
    was: str = READY
    warnings: list[str] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)
    run: Run | None = None
    repairing: bool = False
    called: str = ""
    """What its policy was called when it was taken for it (E7)."""


class Wrong(AssertionError):
    """The product did what SPEC does not allow."""


class Spec(Outside):
    """The tenant as an administrator would describe it, and what is due to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, User] = {}
        self.members: dict[str, set[str]] = {}
        self.seats: dict[str, int] = {}
        self.direct: set[Pair] = set()
        self.through: set[tuple[str, str]] = set()
        """(plan, group)"""
        self.policies: dict[str, Policy] = {}
        self.assignments_made = self.policies_made = 0
        self.pcs: dict[Pair, CloudPc] = {}
        self.tick = 0
        self.touched: dict[str, tuple[int, int]] = {}

    # --- facts ----------------------------------------------------------------------------------------

    def touch(self, *users: str) -> None:
        """Something about these users has changed."""
        self.tick += 1
        for user in users:
            first, _ = self.touched.get(user, (self.tick, 0))
            self.touched[user] = (first, self.tick)

    def licensed(self, user: str, plan: str) -> bool:
        """E1: directly or through a group; both together are one licence."""
        return (user, plan) in self.direct or any(
            p == plan and user in self.members.get(group, ()) for p, group in self.through
        )

    def holders(self, plan: str) -> set[str]:
        return {name for name, user in self.users.items() if user.exists and self.licensed(name, plan)}

    def reaching(self, user: str) -> list[Policy]:
        """The policies that reach the user, the first assigned first (E4)."""
        by = [
            (number, policy)
            for policy in self.policies.values()
            for group, number in policy.assigned.items()
            if user in self.members.get(group, ())
        ]
        return list({policy.number: policy for _, policy in sorted(by, key=lambda found: found[0])}.values())

    def entitled(self, pair: Pair) -> bool:
        return self.users[pair[0]].exists and self.licensed(*pair)

    def due(self, pair: Pair) -> Policy | None:
        """The policy by which a Cloud PC is due to the pair now, if one is (E1)."""
        reaching = self.reaching(pair[0])
        return reaching[0] if reaching and self.entitled(pair) and self.users[pair[0]].enabled else None

    def lost(self, pair: Pair, pc: CloudPc) -> bool:
        """E8: its licence, its user, or the policy it was made by, even if another one reaches the user."""
        return not self.entitled(pair) or pc.policy not in {p.number for p in self.reaching(pair[0])}

    def used(self, plan: str) -> int:
        return sum(1 for (_, p), pc in self.pcs.items() if p == plan and pc.status not in WITHOUT_SEAT)

    def policy_of(self, number: int | None) -> Policy | None:
        return next((p for p in self.policies.values() if p.number == number), None)

    def held(self) -> Counter[str]:
        """What the providers have of us: what live Cloud PCs stand on, and what is not due to go yet (L2)."""
        live = [pc.run.made if pc.run else pc.made for pc in self.pcs.values()]
        return counted([*live, *(left.kinds for left in self.leftovers)])

    # --- what follows from them -----------------------------------------------------------------------

    def settle(self, found: Mapping[Pair, str]) -> None:
        """All that is due now has happened; `found`: the statuses the product came to. Raises Wrong."""
        self.tick += 1
        for pair in dict.fromkeys([*self.pcs, *((u, p) for u in self.users for p in self.seats)]):
            self._decide(pair)
        for pair, pc in self.pcs.items():
            if pc.run is not None:
                self._end(pair, pc, pc.run)
            elif pc.repairing:
                pc.repairing = False
                pc.warnings = repaired(pc.warnings, pair[0], self)
                self._mended(pc)
        for plan in self.seats:
            self._give_seats(plan, found)
        self.clean_up()
        self.touched.clear()
        for pair in self.pcs.keys() | found.keys():
            expected = self.pcs[pair].status if pair in self.pcs else None
            if expected != found.get(pair):
                raise Wrong(f"{pair} is {found.get(pair)}, and SPEC says {expected}")

    def gone(self, pair: Pair) -> None:
        pc = self.pcs.pop(pair)
        self.let_go(pc.run.made if pc.run else pc.made)

    def _decide(self, pair: Pair) -> None:
        pc = self.pcs.get(pair)
        again = False
        if pc is not None and self._goes(pair, pc):
            self.gone(pair)
            pc, again = None, True
        policy = self.due(pair)
        if pc is None:
            if self.entitled(pair):  # E1, E5
                status = PENDING if policy else NOT_PROVISIONED
                pc = CloudPc(status, policy.number if policy else None, self._now(pair, again))
                pc.called = policy.name if policy else ""
                self.pcs[pair] = pc
        elif pc.status in WITHOUT_SEAT:
            if policy and pc.status == NOT_PROVISIONED:
                pc.since = self._now(pair, again)
            pc.status, pc.policy = (PENDING, policy.number) if policy else (NOT_PROVISIONED, None)
            pc.called = policy.name if policy else ""
        elif pc.status in (READY, WARNED) and self.lost(pair, pc):
            pc.was, pc.status, pc.grace_ends = pc.status, IN_GRACE, self.clock + GRACE
        elif pc.status == IN_GRACE and not self.lost(pair, pc):
            pc.status = pc.was

    def _goes(self, pair: Pair, pc: CloudPc) -> bool:
        """E8, V3: what is over, and what never was provisioned and has lost its ground."""
        match pc.status:
            case "notProvisioned" | "pendingProvision":
                return not self.entitled(pair)
            case "provisioning" | "failed":
                return self.lost(pair, pc)
            case "inGracePeriod":
                return self.lost(pair, pc) and pc.grace_ends <= self.clock
            case status:
                return status == LEAVING

    def _now(self, pair: Pair, again: bool) -> tuple[float, float]:
        if again or pair[0] not in self.touched:
            return (self.tick, self.tick)
        return self.touched[pair[0]]

    def _give_seats(self, plan: str, found: Mapping[Pair, str]) -> None:
        """E6: free seats go to the oldest entitlements that have somewhere to go; nobody else starts."""
        waiting = {
            pair: pc
            for pair, pc in self.pcs.items()
            if pair[1] == plan and pc.status == PENDING and self.usable(self._network(pc))
        }
        free = max(self.seats[plan] - self.used(plan), 0)
        started = [pair for pair in waiting if found.get(pair) != PENDING]
        if len(started) > free:
            raise Wrong(f"{len(started)} of {plan} started with {free} free seats: {started}")
        if len(started) < min(free, len(waiting)):
            raise Wrong(f"{free} seats of {plan} are free, and of {list(waiting)} only {started} started")
        for pair in started:
            for other in waiting.keys() - set(started):
                if waiting[other].since[1] < waiting[pair].since[0]:
                    raise Wrong(f"{pair} started before {other}, which has waited longer")
        for pair in started:
            self.start(pair)
            run = self.pcs[pair].run
            assert run is not None
            self._end(pair, self.pcs[pair], run)

    def _network(self, pc: CloudPc) -> tuple[str, ...]:
        policy = self.policy_of(pc.policy)
        assert policy is not None
        return policy.connections

    def start(self, pair: Pair, policy: Policy | None = None) -> None:
        """A run begins, by the policy's present settings (E7)."""
        pc = self.pcs[pair]
        by = policy or self.policy_of(pc.policy)
        assert by is not None
        self.let_go(pc.made)  # V5: the old machine
        pc.policy, pc.status, pc.made, pc.warnings = by.number, PROVISIONING, Counter(), []
        pc.called = by.name
        pc.repairing = False
        pc.run = Run(pair[0], by.number, by.connections)

    def _end(self, pair: Pair, pc: CloudPc, run: Run) -> None:
        self.ended(pc, run.carry(self))
        if pc.status == PENDING:
            self._decide(pair)  # it waits like any other, for what reaches the user now

    def ended(self, pc: CloudPc, outcome: str) -> None:
        run = pc.run
        assert run is not None
        match outcome:
            case "provisioned":
                pc.status, pc.made, pc.warnings, pc.run = READY, run.made, run.warnings, None
                self._mended(pc)
            case "failed":
                pc.status, pc.made, pc.run = FAILS, Counter(), None
            case "waits for a connection":
                pc.status, pc.made, pc.run = PENDING, Counter(), None

    @staticmethod
    def _mended(pc: CloudPc) -> None:
        now = WARNED if pc.warnings else READY
        if pc.status in (READY, WARNED):
            pc.status = now
        pc.was = now

    def expected(self) -> Iterable[tuple[Pair, str]]:
        return ((pair, pc.status) for pair, pc in self.pcs.items())


__all__ = ["FAILED", "HANGS", "PROVISIONED", "WAITS", "CloudPc", "Pair", "Policy", "Spec", "User", "Wrong"]
