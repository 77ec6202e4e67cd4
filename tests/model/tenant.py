"""The generated company: every rule is something that happens, to the product and to the model of SPEC alike."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.company import Company
from tests.model import settled
from tests.model.product import Product
from tests.model.runs import NEVER, STEPS, Fault
from tests.model.spec import (
    Policy,
    Spec,
    User,
)

USERS = ("ann", "ben", "cat", "dan", "eve")
GROUPS = ("g0", "g1", "g2")
NEW_NAMES = (*USERS, "fay", "gus")
"""What people may come to be called: also as another is, or was."""
PLANS = ("small", "large")
POLICIES = ("alpha", "beta", "gamma")
CONNECTIONS = ("north", "south")
NETWORKS = ((), ("north",), ("north", "south"), ("south",))
MINUTE, HOUR, DAY = 60, 3600, 86400
# P3 and P4 do nothing for these people on this image, so nothing can go wrong in them.
FAULTY = tuple(step for step in STEPS if step not in ("P3", "P4"))
FAULTS = st.one_of(
    st.tuples(st.sampled_from(FAULTY), st.just("internalServerError")),
    st.tuples(st.sampled_from(("C2", "C5", "A0")), st.just(NEVER)),
)
ATTEMPTS = st.sampled_from(((), (1,), (2,), (1, 2), (1, 2, 3)))
user, group, plan = st.sampled_from(USERS), st.sampled_from(GROUPS), st.sampled_from(PLANS)
policy, connection = st.sampled_from(POLICIES), st.sampled_from(CONNECTIONS)


class Tenant(RuleBasedStateMachine):
    """A new company on a database of its own; `founding` makes it."""

    founding: Callable[[], Company]
    met: Counter[str]
    """How often each kind of thing happened, over all sequences: what was generated is worth what it met."""
    closing: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.spec = Spec()
        self.company = type(self).founding()
        self.product = Product(self.company)
        self.steps = 0

    def teardown(self) -> None:
        try:
            if self.steps and sys.exc_info()[0] is None:
                self.settle()
                assert not self.product.planned_by_own_document(), "R3: the tenant's own document changes nothing"
        finally:
            type(self).closing()

    @initialize(seats=st.integers(1, 3), network=st.sampled_from(NETWORKS))
    def begin(self, seats: int, network: tuple[str, ...]) -> None:
        """A small company with something to do, so that short sequences already meet the rules."""
        self.company.site()
        for name in CONNECTIONS:
            self.company.connection(name, subnet="10.20.0.0/24" if name == "north" else "10.21.0.0/24")
            self.spec.health[name] = True
        for name in PLANS:
            self.product.create_plan(name, seats)
            self.spec.seats[name] = seats
        for name in GROUPS:
            self.product.create_group(name)
            self.spec.members[name] = set()
        for name in USERS:
            self.product.create_user(name)
            self.spec.users[name] = User()
        self.create_policy("alpha", network)
        self.assign("alpha", "g0")
        self.license_group("small", "g0")
        self.join("ann", "g0")
        self.join("ben", "g0")
        self.steps = 1

    # --- people, groups, licences -------------------------------------------------------------------

    @rule(user=user, enabled=st.booleans())
    def enable(self, user: str, enabled: bool) -> None:
        if self._refused(lambda: self.product.enable(user, enabled), not self.spec.users[user].exists):
            return
        self.spec.users[user].enabled = enabled
        self.spec.touch(user)

    @rule(user=user)
    def delete_user(self, user: str) -> None:
        if self._refused(lambda: self.product.delete_user(user), not self.spec.users[user].exists):
            return
        self.spec.users[user].exists = False
        self.spec.touch(user)

    @rule(user=user)
    def restore_user(self, user: str) -> None:
        refused = self.spec.users[user].exists or self._is_taken(self.product.names[user], user)
        if self._refused(lambda: self.product.restore_user(user), refused):
            return
        self.spec.users[user].exists = True
        self.spec.touch(user)

    @rule(user=user, name=st.sampled_from(NEW_NAMES))
    def rename_user(self, user: str, name: str) -> None:
        """The person stays the same, and so does everything of theirs."""
        if any(fault.user == user for fault in self.spec.faults):
            return  # a fault goes by the name
        refused = self._is_taken(name, user) or not self.spec.users[user].exists
        if self._refused(lambda: self.product.rename_user(user, name), refused):
            return
        self.met["rename"] += 1

    @rule(user=user, group=group)
    def join(self, user: str, group: str) -> None:
        missing = not self.spec.users[user].exists or group not in self.spec.members
        if self._refused(lambda: self.product.join(user, group), missing):
            return
        self.spec.members[group].add(user)
        self.spec.touch(user)

    @rule(user=user, group=group)
    def leave(self, user: str, group: str) -> None:
        missing = not self.spec.users[user].exists or group not in self.spec.members
        if self._refused(lambda: self.product.leave(user, group), missing):
            return
        self.spec.members[group].discard(user)
        self.spec.touch(user)

    @rule(group=group)
    def delete_group(self, group: str) -> None:
        if self._refused(lambda: self.product.delete_group(group), group not in self.spec.members):
            return
        self.spec.touch(*self.spec.members.pop(group))
        self.spec.through = {(p, g) for p, g in self.spec.through if g != group}
        for assigned in self.spec.policies.values():
            assigned.assigned.pop(group, None)

    @rule(group=group)
    def create_group(self, group: str) -> None:
        if self._refused(lambda: self.product.create_group(group), group in self.spec.members):
            return
        self.spec.members[group] = set()

    @rule(group=group, name=group)
    def rename_group(self, group: str, name: str) -> None:
        """By its identity it is licensed and assigned, not by its name."""
        spec = self.spec
        if group not in spec.members or (name in spec.members and name != group):
            return  # that names are unique is another test's
        self.product.rename_group(group, name)
        spec.members[name] = spec.members.pop(group)
        spec.through = {(p, name if g == group else g) for p, g in spec.through}
        for known in spec.policies.values():
            if group in known.assigned:
                known.assigned[name] = known.assigned.pop(group)

    @rule(plan=plan, user=user)
    def license_user(self, plan: str, user: str) -> None:
        """E6: directly beyond the seats is refused."""
        spec, holders = self.spec, self.spec.holders(plan)
        beyond = user not in holders and len(holders) + 1 > spec.seats[plan]
        if self._refused(lambda: self.product.license_user(plan, user), not spec.users[user].exists or beyond):
            return
        spec.direct.add((user, plan))
        spec.touch(user)

    @rule(plan=plan, user=user)
    def unlicense_user(self, plan: str, user: str) -> None:
        if self._refused(lambda: self.product.unlicense_user(plan, user), not self.spec.users[user].exists):
            return
        self.spec.direct.discard((user, plan))
        self.spec.touch(user)

    @rule(plan=plan, group=group)
    def license_group(self, plan: str, group: str) -> None:
        """E6: through a group beyond the seats is allowed, and people queue."""
        if self._refused(lambda: self.product.license_group(plan, group), group not in self.spec.members):
            return
        self.spec.through.add((plan, group))
        self.spec.touch(*self.spec.members[group])

    @rule(plan=plan, group=group)
    def unlicense_group(self, plan: str, group: str) -> None:
        if self._refused(lambda: self.product.unlicense_group(plan, group), group not in self.spec.members):
            return
        self.spec.through.discard((plan, group))
        self.spec.touch(*self.spec.members[group])

    @rule(plan=plan, seats=st.integers(0, 4))
    def set_seats(self, plan: str, seats: int) -> None:
        self.product.set_seats(plan, seats)
        self.spec.seats[plan] = seats
        self.settle()

    # --- policies and connections -------------------------------------------------------------------

    @rule(policy=policy, network=st.sampled_from(NETWORKS))
    def create_policy(self, policy: str, network: tuple[str, ...]) -> None:
        refused = policy in self.spec.policies or self._not_assignable(network)
        if self._refused(lambda: self.product.create_policy(policy, network), refused):
            return
        self.spec.policies_made += 1
        self.spec.policies[policy] = Policy(self.spec.policies_made, policy, network)

    @rule(policy=policy, network=st.sampled_from(NETWORKS))
    def edit_policy(self, policy: str, network: tuple[str, ...]) -> None:
        """E7: nobody's Cloud PC is touched; who waits goes by the policy as it is now."""
        known = self.spec.policies.get(policy)
        refused = known is None or self._not_assignable(set(network) - set(known.connections))
        if self._refused(lambda: self.product.edit_policy(policy, network), refused):
            return
        self.spec.policies[policy].connections = network
        self.settle()

    @rule(policy=policy, name=policy)
    def rename_policy(self, policy: str, name: str) -> None:
        """E7: by its identity it reaches people, not by its name."""
        known = self.spec.policies.get(policy)
        taken = name != policy and name in self.spec.policies
        if self._refused(lambda: self.product.rename_policy(policy, name), known is None or taken):
            return
        assert known is not None
        del self.spec.policies[policy]
        known.name = name
        self.spec.policies[name] = known
        self.settle()

    @rule(policy=policy)
    def delete_policy(self, policy: str) -> None:
        """E9"""
        known = self.spec.policies.get(policy)
        if self._refused(lambda: self.product.delete_policy(policy), known is None or bool(known.assigned)):
            return
        del self.spec.policies[policy]

    @rule(policy=policy, group=group)
    def assign(self, policy: str, group: str) -> None:
        missing = policy not in self.spec.policies or group not in self.spec.members
        if self._refused(lambda: self.product.assign(policy, group), missing):
            return
        self._assigned(policy, group)
        self.spec.touch(*self.spec.members[group])

    @rule(policy=policy, group=group)
    def unassign(self, policy: str, group: str) -> None:
        missing = policy not in self.spec.policies or group not in self.spec.members
        if self._refused(lambda: self.product.unassign(policy, group), missing):
            return
        self.spec.policies[policy].assigned.pop(group, None)
        self.spec.touch(*self.spec.members[group])

    @rule(policy=policy, listed=st.lists(group, unique=True))
    def set_assignments(self, policy: str, listed: list[str]) -> None:
        """E4: those that stay keep their number."""
        missing = policy not in self.spec.policies or not set(listed) <= self.spec.members.keys()
        if self._refused(lambda: self.product.set_assignments(policy, listed), missing):
            return
        assigned = self.spec.policies[policy].assigned
        changed = set(listed) ^ set(assigned)
        for gone in set(assigned) - set(listed):
            del assigned[gone]
        for name in listed:
            self._assigned(policy, name)
        self.spec.touch(*(u for name in changed for u in self.spec.members[name]))

    @rule(connection=connection, healthy=st.booleans())
    def health(self, connection: str, healthy: bool) -> None:
        self.spec.health[connection] = healthy
        self.product.health(connection, healthy)
        if healthy:
            self.settle()

    # --- faults, time, the queue ---------------------------------------------------------------------

    @rule(fault=FAULTS, user=st.one_of(st.none(), user), attempts=ATTEMPTS)
    def add_fault(self, fault: tuple[str, str], user: str | None, attempts: tuple[int, ...]) -> None:
        if user is not None and not self.spec.users[user].exists:
            return
        new = Fault(*fault, user, attempts)
        self.product.add_fault(new)
        self.spec.faults.append(new)

    @rule()
    def clear_faults(self) -> None:
        self.product.clear_faults()
        self.spec.faults.clear()

    @rule(by=st.sampled_from((21 * MINUTE, 61 * MINUTE, 3 * HOUR, 3 * DAY, 8 * DAY)))
    def advance(self, by: int) -> None:
        self.product.advance(by)
        self.spec.clock += by
        self.settle()

    @rule()
    def settle(self) -> None:
        self.company.settle()
        found = self.product.statuses()
        self.spec.settle(found)
        self.met.update(found.values())
        self.met["settled"] += 1
        settled.check(self.spec, self.product)

    @rule(what=st.sampled_from(("twice", "reordered", "lost")), done=st.integers(0, 6), seed=st.integers(0, 99))
    def trouble_in_the_queue(self, what: str, done: int, seed: int) -> None:
        """A job is a hint that something is due: it may come twice, late, or not at all."""
        self.product.work(done)
        if what == "twice":
            self.product.duplicate_jobs()
        elif what == "reordered":
            self.product.reorder_jobs(seed)
        else:
            self.product.lose_jobs()
        self.settle()

    # --- what is allowed ------------------------------------------------------------------------------

    def _refused(self, does: Callable[[], None], refusal: bool) -> bool:
        """Do it; whether it is refused must be as SPEC says, and a refusal changes nothing."""
        refused = self.product.refused(does)
        assert refused == refusal, f"{'refused' if refused else 'accepted'}, and SPEC says otherwise"
        return refused

    def _is_taken(self, name: str, user: str) -> bool:
        """Whether it is another's; who was deleted has no claim to theirs."""
        names = self.product.names.items()
        return any(of != user and called == name and self.spec.users[of].exists for of, called in names)

    def _assigned(self, policy: str, group: str) -> None:
        assigned = self.spec.policies[policy].assigned
        if group not in assigned:
            self.spec.assignments_made += 1
            assigned[group] = self.spec.assignments_made

    def _not_assignable(self, network: Any) -> bool:
        """Section 5: an unhealthy connection is not assignable."""
        return any(not self.spec.health[name] for name in network)
