"""The deciding function alone: E1-E8 as properties over any facts."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from deskwright.decide.entitlement import LiveCloudPc, UserFacts, decide
from deskwright.decide.verdict import Action, Candidate, Verdict, Waiting
from deskwright.domain.status import TRANSITIONS, Status

USER = UUID(int=1)
PLANS = [UUID(int=100 + n) for n in range(3)]
POLICIES = [UUID(int=200 + n) for n in range(4)]

candidate_sets = st.lists(
    st.builds(
        Candidate,
        policy_id=st.sampled_from(POLICIES),
        policy_name=st.just("P"),
        number=st.integers(1, 50),
        group_name=st.sampled_from(["Sales", "Finance"]),
    ),
    max_size=5,
    unique_by=lambda c: c.number,
)
live_statuses = st.sampled_from([s for s in Status if s is not Status.GONE])


@st.composite
def people(draw: st.DrawFn) -> UserFacts:
    plans = draw(st.lists(st.sampled_from(PLANS), unique=True))
    pcs = tuple(
        LiveCloudPc(UUID(int=300 + n), plan, draw(live_statuses), draw(st.sampled_from([None, *POLICIES])))
        for n, plan in enumerate(draw(st.lists(st.sampled_from(PLANS), unique=True)))
    )
    return UserFacts(
        user_id=USER,
        exists=draw(st.booleans()),
        enabled=draw(st.booleans()),
        candidates=tuple(draw(candidate_sets)),
        licences=dict.fromkeys(plans, ("directly",)),
        cloud_pcs=pcs,
    )


def by_plan(verdicts: list[Verdict]) -> dict[UUID, Verdict]:
    return {v.plan_id: v for v in verdicts}


@given(people())
def test_one_verdict_for_each_pair(user: UserFacts) -> None:
    """E2, E3: never two verdicts for one (user, licence), and one for every licence and every Cloud PC."""
    verdicts = decide(user)
    assert len(by_plan(verdicts)) == len(verdicts)
    assert set(by_plan(verdicts)) == set(user.licences) | {pc.plan_id for pc in user.cloud_pcs}


@given(people(), st.randoms())
def test_the_order_of_events_does_not_matter(user: UserFacts, random: "object") -> None:
    """E1: only what is counts, not in which order it came."""
    candidates, pcs = list(user.candidates), list(user.cloud_pcs)
    random.shuffle(candidates)  # type: ignore[attr-defined]
    random.shuffle(pcs)  # type: ignore[attr-defined]
    shuffled = UserFacts(USER, user.exists, user.enabled, tuple(candidates), user.licences, tuple(pcs))
    assert decide(shuffled) == decide(user)


@given(people())
def test_first_assigned_wins_and_all_licences_use_it(user: UserFacts) -> None:
    """E3, E4: the smallest number that reaches the user, for every licence; all others are named as ignored."""
    for verdict in decide(user):
        if not user.candidates:
            assert verdict.policy is None
            continue
        first = min(user.candidates, key=lambda c: c.number)
        assert verdict.policy == first
        named = {verdict.policy.policy_id, *(c.policy_id for c in verdict.ignored)}
        assert named == {c.policy_id for c in user.candidates}
        assert [c.number for c in verdict.ignored] == sorted(c.number for c in verdict.ignored)


@given(people())
def test_something_starts_only_for_the_entitled(user: UserFacts) -> None:
    """E1, E5: exists, enabled, licensed, reached by a policy: else nothing new is started."""
    for verdict in decide(user):
        if verdict.action in {Action.CREATE, Action.QUEUE}:
            assert user.exists
            assert user.enabled
            assert verdict.plan_id in user.licences
            assert user.candidates
        if verdict.action is Action.LIST:
            assert verdict.waiting_for in {Waiting.NO_POLICY, Waiting.ACCOUNT_DISABLED}


@given(people())
def test_disabling_takes_nothing_away(user: UserFacts) -> None:
    """E1: the same person disabled loses nothing the enabled one keeps."""
    enabled = by_plan(decide(UserFacts(USER, user.exists, True, user.candidates, user.licences, user.cloud_pcs)))
    disabled = by_plan(decide(UserFacts(USER, user.exists, False, user.candidates, user.licences, user.cloud_pcs)))
    for plan, verdict in disabled.items():
        assert verdict.loses == enabled[plan].loses


@given(people())
def test_grace_is_for_what_was_provisioned(user: UserFacts) -> None:
    """E8: grace exactly when a provisioned one lost user, licence or the policy it was made by; others never."""
    reached = {c.policy_id for c in user.candidates}
    pcs = {pc.plan_id: pc for pc in user.cloud_pcs}
    for verdict in decide(user):
        pc = pcs.get(verdict.plan_id)
        if pc is None:
            assert verdict.action not in {Action.ENTER_GRACE, Action.LEAVE_GRACE, Action.STOP, Action.REMOVE}
            continue
        keeps = user.exists and pc.plan_id in user.licences and pc.policy_id in reached
        if pc.status in {Status.PROVISIONED, Status.WARNINGS}:
            assert verdict.action is (Action.NOTHING if keeps else Action.ENTER_GRACE)
            assert bool(verdict.lost) is not keeps
        if pc.status is Status.IN_GRACE:
            assert verdict.action is (Action.LEAVE_GRACE if keeps else Action.NOTHING)
        if pc.status is Status.PROVISIONING:
            assert verdict.action is (Action.NOTHING if keeps else Action.STOP)
        if pc.status is Status.FAILED:
            assert verdict.action is (Action.NOTHING if keeps else Action.REMOVE)


@given(people())
def test_every_action_is_a_legal_transition(user: UserFacts) -> None:
    """R7: what is decided can be done from where the Cloud PC is."""
    leads_to = {
        Action.QUEUE: {Status.PENDING},
        Action.UNQUEUE: {Status.NOT_PROVISIONED},
        Action.REMOVE: {Status.GONE, Status.DEPROVISIONING},
        Action.STOP: {Status.DEPROVISIONING},
        Action.ENTER_GRACE: {Status.IN_GRACE},
        Action.LEAVE_GRACE: {Status.PROVISIONED, Status.WARNINGS},
    }
    for verdict in decide(user):
        if verdict.action in leads_to:
            assert verdict.status is not None
            assert leads_to[verdict.action] & TRANSITIONS[verdict.status]


@given(people())
def test_every_verdict_says_why(user: UserFacts) -> None:
    """R2: reasons in whole sentences, whatever the facts."""
    for verdict in decide(user):
        assert verdict.reasons
        assert all(r[0].isupper() and r.endswith(".") for r in verdict.reasons)
