"""What must hold whenever nothing is due: SPEC's promises, looked up in the tables and at the providers."""

from itertools import groupby, pairwise
from typing import Any

from tests.model.product import Product
from tests.model.runs import ATTEMPTS, STEPS
from tests.model.spec import IN_GRACE, LEAVING, PENDING, PROVISIONING, WITHOUT_SEAT, Spec


def check(spec: Spec, product: Product) -> None:
    _pairs(product)
    _seats(spec, product)
    _things(spec, product)
    _way_out(spec, product)
    _runs(product)
    _policies(spec, product)
    assert not product.planned(), f"reconcile would still do: {product.planned()}"


def _pairs(product: Product) -> None:
    twice = product.company.sql(
        "SELECT user_id, plan_id FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' GROUP BY 1, 2 "
        "HAVING count(*) > 1"
    )
    assert not twice, "E2: at most one live Cloud PC for each pair"


def _seats(spec: Spec, product: Product) -> None:
    for row in product.company.sql(
        "SELECT p.display_name, p.seats_used, (SELECT count(*) FROM cloud_pcs c WHERE c.plan_id = p.id AND "
        "c.status NOT IN ('gone', 'notProvisioned', 'pendingProvision')) AS really FROM service_plans p"
    ):
        assert row.seats_used == row.really == spec.used(row.display_name), f"E6: seats of {row.display_name}"


def _things(spec: Spec, product: Product) -> None:
    there, listed = set(product.company.inventory()), {row.key: row for row in product.company.held()}
    assert there <= listed.keys(), f"L1: nothing is there that the ledger does not hold: {there - listed.keys()}"
    for key in listed.keys() - there:
        assert listed[key].state == "intended", f"L4: {key} is not there any more"
        assert listed[key].release_at is not None, f"L4: {key} was never made, and nothing closes its row"
    assert product.held() == spec.held(), "L2: what is held, and for how long"


def _way_out(spec: Spec, product: Product) -> None:
    """R7: whatever is not final has an exit."""
    for row in product.company.sql(
        "SELECT c.*, r.state, r.wake_at, tenant_now(c.tenant_id) AS now, (SELECT count(*) FROM ledger l WHERE "
        "l.cloud_pc_id = c.id AND l.release_at IS NOT NULL) AS releases FROM cloud_pcs c LEFT JOIN runs r "
        "ON r.cloud_pc_id = c.id AND r.state = 'active' WHERE c.tenant_id = :tenant AND c.status <> 'gone'"
    ):
        if row.status in WITHOUT_SEAT:
            assert row.waiting_for not in (None, "start"), f"E5, E6: {row.status} without a reason"
            assert row.state is None
        if row.status == PENDING:
            assert row.waiting_for in ("seat", "connection")
        if row.status == PROVISIONING:
            assert row.state == "active", "R7: provisioning without a run"
            assert row.wake_at is not None, "R7: a run that nothing wakes"
            assert row.wake_at > row.now
        else:
            assert row.state is None, f"{row.status} with a run under way"
        assert (row.grace_ends_at is not None) == (row.status == IN_GRACE), "E8: an end exactly while in grace"
        if row.status == LEAVING:
            assert row.releases, "R7: deprovisioning, and nothing that goes on with it"
    assert not product.company.sql("SELECT 1 FROM touched_users")
    assert not product.company.sql("SELECT 1 FROM procrastinate_jobs"), "nothing is due"


def _runs(product: Product) -> None:
    """V1, V4: attempts from one on, each step once and in order, all of them where the run succeeded."""
    rows = product.company.sql(
        "SELECT r.id, r.state, r.kind, r.ended_at AS run_ended, s.attempt, s.step, s.outcome, s.started_at, s.ended_at "
        "FROM runs r JOIN steps s ON s.run_id = r.id WHERE r.tenant_id = :tenant AND r.kind <> 'repair' "
        "ORDER BY r.id, s.attempt, array_position(CAST(:steps AS text[]), s.step)",
        steps=list(STEPS),
    )
    for _, of_run in groupby(rows, key=lambda row: row.id):
        _run(list(of_run))


def _run(steps: list[Any]) -> None:
    state = steps[0].state
    attempts = sorted({s.attempt for s in steps})
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(attempts) <= ATTEMPTS, "V1"
    for number in attempts:
        mine = [s for s in steps if s.attempt == number]
        assert [s.step for s in mine] == list(STEPS[: len(mine)]), "V4: in the order of the pipeline, none left out"
        assert all(a.ended_at <= b.started_at for a, b in pairwise(mine)), "V4: one after the other"
        assert all(s.outcome in ("succeeded", "skipped", "warning") for s in mine[:-1])
        last = mine[-1].outcome
        if number < attempts[-1]:
            assert last == "failed", "V1: only a failed attempt is followed by another"
        elif state == "succeeded":
            assert len(mine) == len(STEPS)
            assert last == "succeeded"
        elif state == "active":
            assert last in ("running", "failed")
        else:
            assert last in ("failed", "stopped"), f"{state}, and its last step {last}"
    assert (steps[0].run_ended is None) == (state == "active")


def _policies(spec: Spec, product: Product) -> None:
    names = product.policies()
    for pair, pc in spec.pcs.items():
        if spec.policy_of(pc.policy) is not None:
            assert names[pair] == pc.called, f"E4, E7: {pair} by {names[pair]}, not {pc.called}"
